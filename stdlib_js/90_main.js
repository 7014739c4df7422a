// The way in and out: what the child process calls. Last but for patterns/, so that everything that it starts is there.
((core) => {
  "use strict";
  const { apply, define, emit, errorText, follow, parse, quote, toJson } = core;

  // Runs the script's function. `text` is the JSON text of
  // {seed, startedAt, args?: text, dialect?, caps: {tokens, costUsd, agents, minutes}, entries, resultBytes, libraryLine}.
  const start = (main, text) => {
    const config = parse(text);
    core.config = config;
    core.clock = config.startedAt;
    core.makeBudget(config.caps, config.startedAt);
    core.lane.group.dialect = config.dialect ?? null;
    const args = config.args === undefined ? core.noArgs(core.lane.group) : parse(config.args);
    define(globalThis, "args", args);
    follow(apply(apply(main, undefined, [args]), undefined, []), (value) => {
      core.hasFinished = true;
      try {
        finish(toJson(value) ?? "null");
      } catch (error) {
        emit('["f",false,' + errorText(error) + "]");
      }
    }, (error) => {
      core.hasFinished = true;
      emit('["f",false,' + errorText(error) + "]");
    });
  };
  const finish = (result) => {
    if (result.length > core.config.resultBytes) {
      const message = "The result of the script is " + result.length + " characters of JSON; at most " + core.config.resultBytes + " are taken. Write large data to a file, return its path";
      emit('["f",false,' + errorText(core.makeError(message, "result_too_large", "RangeError")) + "]");
    } else {
      emit('["f",true,' + quote(result) + "]");
    }
  };

  const { drain, loading, made, patterns, settle, step } = core;
  globalThis.__pawl = { start, settle, step, drain, made, loading, patterns };
})(globalThis.__pawl);
