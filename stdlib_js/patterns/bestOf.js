// bestOf(n, promptOrThunk, options?): the best of n attempts, as a panel of judges sees it (S72).
((pawl) => {
  "use strict";
  const { agent, answersOf, define, isGiven, kept, log, makeArray, needAsked, optionsOf, refuse } = pawl;

  const bestOf = async function bestOf(n, promptOrThunk, given) {
    needAsked("bestOf", n, promptOrThunk);
    const { task = typeof promptOrThunk === "string" ? promptOrThunk : undefined, judges, lenses, judge, phase, label = "attempt", full, ...options } = optionsOf("bestOf", given, null);
    const panel = { phase, ...optionsOf("bestOf", judge, null), task, judges, lenses };
    pawl.panelOf("bestOf", panel);
    refuse("bestOf", "full", full, "its judges see what they are to judge, not costs. Use bestOf(n, i => …)");

    const attempts = await answersOf("bestOf", (i) => "attempt " + (i + 1) + " of " + n, makeArray(n, (i) => () => (
      typeof promptOrThunk === "function" ? promptOrThunk(i) : agent(
        promptOrThunk + "\n\nThis is attempt " + (i + 1) + " of " + n + ", each made on its own. The best one is taken.",
        { ...options, phase, label: label + " " + (i + 1) + "/" + n },
      ))));
    if (kept(attempts, isGiven).length === 0) {
      log("bestOf(): none of " + n + " attempts gave an answer");
      return { value: null, index: null, score: null, ranking: [] };
    }

    const ranking = await pawl.judgePanel(attempts, panel);
    const { attempt: value, index, score } = ranking[0];
    if (score === null) log("bestOf(): nobody judged the attempts; the first one is taken");
    return { value, index, score, ranking };
  };
  define(globalThis, "bestOf", bestOf);
})(globalThis.__pawl.patterns);
