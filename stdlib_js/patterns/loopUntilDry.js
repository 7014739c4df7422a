// loopUntilDry(find, {key}): rounds of finding, until several in a row bring nothing new (S72).
((pawl) => {
  "use strict";
  const { brief, define, append, describe, invalid, isArray, isGiven, keyOf, log, needCount, needFunction, optionsOf, part, safeMap } = pawl;

  const KNOWN = { __proto__: null, key: true, dry: true, rounds: true };

  // One round: {found, error}. `found` is null when there was no answer.
  const look = async (find, round, items) => {
    try {
      return { __proto__: null, found: await find(round, part(items, 0, items.length)), error: null };
    } catch (error) {
      if (describe(error).code === "cancelled") throw error;
      return { __proto__: null, found: null, error: { __proto__: null, thrown: error } };
    }
  };

  const loopUntilDry = async function loopUntilDry(find, given) {
    if (typeof find !== "function") throw invalid("loopUntilDry() needs a function first: loopUntilDry((round, items) => …, {key: item => item.id}), not " + brief(find));
    const { key, dry = 2, rounds = 20 } = optionsOf("loopUntilDry", given, KNOWN);
    needFunction("loopUntilDry", "key", key, "a function item => text, by which items are the same");
    needCount("loopUntilDry", "rounds", rounds, 1, 1000);
    needCount("loopUntilDry", "dry", dry, 1, rounds);

    const items = [];
    const keys = safeMap();
    let round = 0;
    let dryRounds = 0;
    let answered = 0;
    let last = null;
    while (round < rounds && dryRounds < dry) {
      const { found, error } = await look(find, ++round, items);
      last = error;
      if (!isGiven(found)) {
        // Not dry: that nobody looked says nothing about what there is.
        const d = error === null ? null : describe(error.thrown);
        log("loopUntilDry(): round " + round + (d === null ? " gave no answer" : " failed: " + (d.name ? d.name + ": " : "") + d.message));
        continue;
      }
      if (!isArray(found)) throw invalid("loopUntilDry() round " + round + " must give an array of items, or null for no answer, not " + brief(found));
      answered++;
      const before = items.length;
      let nulls = 0;
      for (let i = 0; i < found.length; i++) {
        if (!isGiven(found[i])) {
          nulls++;
          continue;
        }
        const name = keyOf("loopUntilDry", key, found[i]);
        if (keys.has(name)) continue;
        keys.set(name, true);
        append(items, found[i]);
      }
      if (nulls > 0) log("loopUntilDry(): round " + round + ": " + nulls + " of " + found.length + " items are null, and dropped");
      dryRounds = items.length === before ? dryRounds + 1 : 0;
    }
    if (answered === 0 && last !== null) throw last.thrown;
    const isDry = dryRounds >= dry;
    if (!isDry) log("loopUntilDry(): stopped after " + round + " rounds with " + items.length + " items, and not dry: there may be more");
    return { items, rounds: round, isDry };
  };
  define(globalThis, "loopUntilDry", loopUntilDry);
})(globalThis.__pawl.patterns);
