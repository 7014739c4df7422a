// retry(thunk, options?): again, told what was wrong, until it is accepted (S72).
((pawl) => {
  "use strict";
  const { brief, define, describe, invalid, isGiven, isNonEmptyText, log, makeError, needCount, needFunction, optionsOf } = pawl;

  const KNOWN = { __proto__: null, attempts: true, accept: true };
  const isWithdrawn = (error) => describe(error).code === "cancelled";

  const retry = async function retry(thunk, given) {
    if (typeof thunk !== "function") throw invalid("retry() needs a function first: retry((attempt, problem) => agent(…)), not " + brief(thunk));
    const { attempts = 3, accept = () => true } = optionsOf("retry", given, KNOWN);
    needCount("retry", "attempts", attempts, 1, 100);
    needFunction("retry", "accept", accept, "a function value => true or the problem as a text");

    let problem = null;
    let last = null; // the last error, kept apart from null: scripts throw anything
    for (let attempt = 1; attempt <= attempts; attempt++) {
      let value;
      try {
        value = await thunk(attempt, problem);
      } catch (error) {
        if (isWithdrawn(error)) throw error;
        const { name, message } = describe(error);
        problem = (name ? name + ": " : "") + message;
        last = { __proto__: null, error };
        log("retry(): attempt " + attempt + " of " + attempts + " failed: " + problem);
        continue;
      }
      if (!isGiven(value)) {
        problem = "There was no answer (null).";
        log("retry(): attempt " + attempt + " of " + attempts + " gave no answer");
        continue;
      }
      const verdict = await accept(value);
      if (verdict === true) return value;
      if (verdict !== false && !isNonEmptyText(verdict)) throw invalid("retry() option 'accept' must give true, or the problem as a text, not " + brief(verdict), "invalid_option");
      problem = verdict || "It was not accepted.";
      last = { __proto__: null, error: makeError("retry(): none of " + attempts + " attempts was accepted; the last problem: " + problem, "not_accepted") };
      log("retry(): attempt " + attempt + " of " + attempts + " was not accepted: " + problem);
    }
    if (last !== null) throw last.error;
    log("retry(): none of " + attempts + " attempts gave an answer");
    return null;
  };
  define(globalThis, "retry", retry);
})(globalThis.__pawl.patterns);
