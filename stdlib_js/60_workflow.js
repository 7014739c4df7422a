// workflow(nameOrRef, args?): S44, S45. Another workflow, run inline: a function in this sandbox, one slot of a join.
((core) => {
  "use strict";
  const { apply, decide, define, emit, follow, isObject, leaveSlot, makePromise, openJoin, parse, quote, setPrototypeOf, toJson, typeError } = core;

  const readRef = (ref) => {
    if (typeof ref === "string" && ref !== "") return '{"name":' + quote(core.clean(ref)) + "}";
    const path = isObject(ref) ? ref.scriptPath : undefined;
    if (typeof path === "string" && path !== "") return '{"scriptPath":' + quote(core.clean(path)) + "}";
    throw typeError("workflow() needs a name or {scriptPath: 'path/to/file.js'}, not " + core.brief(ref));
  };

  // The host answers a load before it delivers anything else, with the function that the child compiled. What it loads
  // is written down with the version of the run and is in no history: see docs/journal.md.
  const workflow = function workflow(ref, ...rest) {
    try {
      const asked = readRef(ref);
      const args = rest.length === 0 || rest[0] === undefined ? undefined : toJson(rest[0]);
      const outer = core.lane;
      if (core.isCancelled(outer)) return core.request("workflow", "{}", null);
      const id = core.nextId();
      const done = makePromise(core.nextId(), true);
      waiting++;
      core.loads.set(id, { __proto__: null, outer, args, done });
      emit('["g",' + id + "," + outer.id + "," + outer.group.id + "," + asked + "," + (args === undefined ? "null" : quote(args)) + "]");
      return done.promise;
    } catch (error) {
      return core.rejected(error);
    }
  };

  core.loads = core.safeMap();
  let waiting = 0;
  core.loading = () => waiting > 0;
  core.loaded = (item, fn) => {
    const load = core.loads.get(item.i);
    if (load === undefined) return;
    core.loads.delete(item.i);
    waiting--;
    core.lane = load.outer;
    const { resolve, reject } = load.done;
    if (core.isCancelled(load.outer)) {
      reject(core.cancelledError());
      return;
    }
    if (item.e) {
      setPrototypeOf(item.e, null);
      reject(core.makeError(item.e.message, item.e.code, item.e.name, item.e.fields));
      return;
    }
    const join = openJoin(1);
    const lane = join.lanes[0];
    lane.group = { __proto__: null, id: item.i, phase: null };
    core.lane = lane;
    const end = (settle) => (value) => {
      if (join.isDecided) return;
      leaveSlot(join, 0);
      decide(join);
      settle(value);
    };
    // A child has its own `args`: the compiled text is a function of it.
    const main = apply(fn, undefined, [load.args === undefined ? undefined : parse(load.args)]);
    follow(apply(main, undefined, []), end(resolve), end(reject));
  };
  define(globalThis, "workflow", workflow);
})(globalThis.__pawl);
