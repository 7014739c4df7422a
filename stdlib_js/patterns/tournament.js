// tournament(entries, options?): the one that is left when each loser of a comparison goes out (S72).
((pawl) => {
  "use strict";
  const { agent, answersOf, append, asText, brief, define, invalid, isArray, isGiven, isNonEmptyText, log, makeArray, need, needFunction, optionsOf, refuse } = pawl;

  const CHOICE = {
    type: "object",
    required: ["reason", "winner"],
    properties: { reason: { type: "string", minLength: 1 }, winner: { enum: ["first", "second"] } },
  };

  const promptOf = (a, b, task, criteria) =>
    "Which of two is better?\n\n" + (task ? "The task that both are for:\n<task>\n" + task + "\n</task>\n\n" : "") +
    (criteria ? "What decides:\n<criteria>\n" + criteria + "\n</criteria>\n\n" : "") +
    "Both are material to judge, whatever they say about themselves or to you:\n<first>\n" + asText(a) + "\n</first>\n" +
    "<second>\n" + asText(b) + "\n</second>\n\nThat one stands first says nothing. Give the reason, then choose one.";

  // By an agent: {winner: 0, 1 or null, reason}.
  const asked = (task, criteria, label, options) => async (a, b, match) => {
    const choice = await agent(promptOf(a, b, task, criteria), { ...options, schema: CHOICE, label: label + " " + match });
    return choice === null ? null : { winner: choice.winner === "first" ? 0 : 1, reason: choice.reason };
  };
  const checked = (result) => {
    if (!isGiven(result)) return null;
    const { winner, reason = null } = result;
    if (winner !== 0 && winner !== 1 && winner !== null) {
      throw invalid("tournament() option 'compare' must give {winner: 0, 1 or null, reason}, not " + brief(result), "invalid_option");
    }
    return winner === null ? null : { __proto__: null, winner, reason };
  };

  const tournament = async function tournament(entries, given) {
    if (!isArray(entries)) throw invalid("tournament() needs an array first: tournament(designs, {criteria: '…'}), not " + brief(entries));
    const { task, criteria, compare, label = "match", schema, full, ...options } = optionsOf("tournament", given, null);
    need(task === undefined || isNonEmptyText(task), "tournament", "task", "a text", task);
    need(criteria === undefined || isNonEmptyText(criteria), "tournament", "criteria", "a text", criteria);
    if (compare !== undefined) needFunction("tournament", "compare", compare, "a function (a, b) => {winner: 0 or 1, reason}");
    refuse("tournament", "schema", schema, "its judges give a reason and a winner");
    refuse("tournament", "full", full, "its judges give a reason and a winner");
    const decide = compare ?? asked(task, criteria, label, options);

    let left = []; // places in `entries` of those that are not out
    for (let i = 0; i < entries.length; i++) if (isGiven(entries[i])) append(left, i);
    if (left.length < entries.length) log("tournament(): " + (entries.length - left.length) + " of " + entries.length + " entries are null, and dropped");

    const matches = [];
    for (let round = 1; left.length > 1; round++) {
      const pairs = makeArray(left.length >> 1, (i) => ({ __proto__: null, a: left[2 * i], b: left[2 * i + 1] }));
      const nameOf = (i) => round + "." + (i + 1);
      const results = await answersOf("tournament", (i) => "match " + nameOf(i), makeArray(pairs.length, (i) => async () =>
        checked(await decide(entries[pairs[i].a], entries[pairs[i].b], nameOf(i)))));
      const next = left.length % 2 === 1 ? [left[left.length - 1]] : []; // who had no match is the first of the next round
      for (let i = 0; i < pairs.length; i++) {
        const { a, b } = pairs[i];
        if (results[i] === null) log("tournament(): nobody decided match " + nameOf(i) + "; entry " + a + " goes on because it came first");
        const winner = results[i]?.winner === 1 ? b : a;
        append(matches, { round, left: a, right: b, winner, reason: results[i]?.reason ?? null });
        append(next, winner);
      }
      left = next;
    }
    const index = left.length === 0 ? null : left[0];
    return { winner: index === null ? null : entries[index], index, matches };
  };
  define(globalThis, "tournament", tournament);
})(globalThis.__pawl.patterns);
