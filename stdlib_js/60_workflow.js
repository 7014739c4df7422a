// workflow(nameOrRef, args?): S44, S45. Another workflow, run inline: a function in this sandbox, one slot of a join.
((core) => {
  "use strict";
  const { apply, decide, define, emit, follow, isObject, leaveSlot, makePromise, openJoin, parse, quote, setPrototypeOf, toJson, typeError } = core;

  // MiMo Code (S16) takes the text of a workflow as well.
  const nativeIndexOf = String.prototype.indexOf;
  const isInline = (ref) => core.isMimo() && typeof ref === "string" && apply(nativeIndexOf, ref, ["export const meta"]) >= 0;

  const readRef = (ref) => {
    if (isInline(ref)) return '{"inline":' + quote(core.clean(ref)) + "}";
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
      core.loads.set(id, { __proto__: null, outer, args, done, dialect: isInline(ref) ? outer.group.dialect : null });
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
    lane.group = { __proto__: null, id: item.i, phase: null, dialect: item.d ?? load.dialect };
    core.lane = lane;
    const end = (settle) => (value) => {
      if (join.isDecided) return;
      leaveSlot(join, 0);
      decide(join);
      settle(value);
    };
    // A child has its own `args`: the compiled text is a function of it.
    const given = load.args === undefined ? core.noArgs(lane.group) : parse(load.args);
    const main = apply(fn, undefined, [given]);
    const fail = load.outer.group.dialect === "mimo" ? (error) => failLikeMimo(error, resolve, reject) : reject;
    follow(apply(main, undefined, []), end(resolve), end(fail));
  };
  // A child of a script for MiMo Code (S16) that fails gives null; one that is called wrongly, or was withdrawn, throws.
  const STRUCTURAL = { __proto__: null, cancelled: true, too_deep: true, unknown_workflow: true, workflow_cycle: true };
  const failLikeMimo = (error, resolve, reject) => {
    const d = core.describe(error);
    if (STRUCTURAL[d.code]) {
      reject(error);
      return;
    }
    core.warn("workflow() gives null, as in MiMo Code: " + (d.name ? d.name + ": " : "") + d.message, "null_instead_of_error");
    resolve(null);
  };
  core.noArgs = (group) => (group.dialect === "mimo" ? null : undefined);
  define(globalThis, "workflow", workflow);
})(globalThis.__pawl);
