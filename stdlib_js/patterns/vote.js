// vote(n, promptOrThunk, options?): what more than half of n subagents say (S72).
((pawl) => {
  "use strict";
  const { agent, answersOf, canonical, define, isGiven, keyOf, log, makeArray, needAsked, needCount, needFunction, optionsOf, refuse, safeMap } = pawl;

  // Counts only what was answered, against all that were asked: two that agree of five are no majority.
  const vote = async function vote(n, promptOrThunk, given) {
    needAsked("vote", n, promptOrThunk);
    const { key = canonical, quorum = (n >> 1) + 1, label = "vote", full, ...options } = optionsOf("vote", given, null);
    needFunction("vote", "key", key, "a function answer => text");
    needCount("vote", "quorum", quorum, 1, n);
    refuse("vote", "full", full, "answers with their costs are never the same. Use vote(n, i => …)");

    const answers = await answersOf("vote", (i) => "voter " + (i + 1) + " of " + n, makeArray(n, (i) => () => (
      typeof promptOrThunk === "function" ? promptOrThunk(i) : agent(
        promptOrThunk + "\n\nYou are voter " + (i + 1) + " of " + n + ". Answer on your own: the answers are counted.",
        { ...options, label: label + " " + (i + 1) + "/" + n },
      ))));

    const counts = safeMap();
    let missing = 0;
    for (let i = 0; i < n; i++) {
      if (isGiven(answers[i])) {
        const said = keyOf("vote", key, answers[i]);
        const count = counts.get(said) ?? { __proto__: null, answer: answers[i], votes: 0 };
        count.votes++;
        counts.set(said, count);
      } else missing++;
    }
    let first = { __proto__: null, answer: null, votes: 0 };
    let isTie = false;
    counts.forEach((count) => {
      isTie = count.votes === first.votes || (isTie && count.votes < first.votes);
      if (count.votes > first.votes) first = count;
    });

    const isDecided = first.votes >= quorum && !isTie;
    if (missing > 0) log("vote(): " + missing + " of " + n + " gave no answer");
    if (!isDecided) log("vote(): no winner. The most votes for one answer are " + first.votes + " of " + n + (isTie ? ", for more than one" : "") + "; " + quorum + " are needed");
    return { winner: isDecided ? first.answer : null, votes: first.votes, of: n, missing, answers };
  };
  define(globalThis, "vote", vote);
})(globalThis.__pawl.patterns);
