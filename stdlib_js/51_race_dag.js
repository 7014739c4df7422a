// race() and dag(): S35, S36.
((core) => {
  "use strict";
  const { decide, define, emit, follow, isArray, isObject, later, leaveSlot, makeArray, makePromise, openJoin, typeError } = core;
  const NativeAggregateError = AggregateError;
  const { defineProperty } = Object;
  const { iterator } = Symbol;

  // AggregateError takes its errors by iteration, which the script may have changed for arrays.
  const allFailed = (errors, message) => {
    let i = 0;
    const next = () => (i < errors.length ? { __proto__: null, done: false, value: errors[i++] } : { __proto__: null, done: true, value: undefined });
    return new NativeAggregateError({ __proto__: null, [iterator]: () => ({ __proto__: null, next }) }, message);
  };

  // The first to succeed wins, the rest are withdrawn; with no success the errors come in input order.
  const race = function race(thunks) {
    try {
      const entries = core.entriesOf("race", thunks, "race([() => agent('a'), () => agent('b')])");
      for (let i = 0; i < entries.length; i++) {
        if (typeof entries[i] !== "function") throw typeError("race() entry " + i + " must be a function: () => agent(…), not " + core.brief(entries[i]));
      }
      const outer = core.lane;
      const n = entries.length;
      const join = openJoin(n);
      const { promise, resolve, reject } = makePromise(core.nextId(), true);
      const errors = makeArray(n, () => undefined);
      const lose = (i, error) => {
        if (join.isDecided) return;
        leaveSlot(join, i);
        errors[i] = error;
        if (join.left === 0) {
          decide(join);
          reject(allFailed(errors, n === 1 ? "The one entry of race() failed" : "All " + n + " entries of race() failed"));
        }
      };
      const win = (i, value) => {
        if (join.isDecided) return;
        leaveSlot(join, i);
        decide(join);
        resolve(value);
      };
      try {
        for (let i = 0; i < n && !join.isDecided; i++) {
          core.lane = join.lanes[i];
          try {
            const thunk = entries[i];
            follow(thunk(), (v) => win(i, v), (e) => lose(i, e));
          } catch (error) {
            later(() => lose(i, error));
          }
        }
      } finally {
        core.lane = outer; // also when the stack ended in here
      }
      if (n === 0) {
        decide(join);
        reject(allFailed([], "race() got no entries"));
      }
      core.lane = outer;
      return promise;
    } catch (error) {
      return core.rejected(error);
    }
  };

  // Checks the nodes; returns them, their ids, and by position the positions that each depends on. All of them are read
  // once: what the script does to them while they run changes nothing.
  const readNodes = (given) => {
    const nodes = core.entriesOf("dag", given, "dag([{id: 'a'}, {id: 'b', dependsOn: ['a']}], run)");
    const places = core.safeMap();
    const ids = [];
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[i];
      const id = isObject(node) ? node.id : undefined;
      if (typeof id !== "string" || id === "") throw typeError("dag() node " + i + " needs an id: {id: 'build', dependsOn: []}");
      if (places.has(id)) throw typeError("dag() has two nodes with the id '" + id + "'", "duplicate_node");
      places.set(id, i);
      define(ids, i, id);
    }
    const needs = makeArray(nodes.length, () => null);
    for (let i = 0; i < nodes.length; i++) {
      const named = nodes[i].dependsOn ?? [];
      if (!isArray(named)) throw typeError("dag() node '" + ids[i] + "': dependsOn must be an array of ids");
      const seen = core.safeMap();
      for (let d = 0; d < named.length; d++) {
        const need = named[d];
        const place = places.get(need);
        if (place === undefined) {
          const shown = typeof need === "string" ? "'" + need + "'" : core.brief(need);
          throw typeError("dag() node '" + ids[i] + "' depends on " + shown + ", which is no node", "unknown_node");
        }
        seen.set(place, true);
      }
      const own = [];
      seen.forEach((_, place) => define(own, own.length, place));
      needs[i] = own;
    }
    checkCycles(ids, needs);
    return { __proto__: null, nodes, ids, needs };
  };
  const checkCycles = (ids, needs) => {
    const state = makeArray(ids.length, () => 0); // 1 on the way, 2 done
    const visit = (start) => {
      // By hand: a chain of 4,096 nodes is deeper than the stack.
      const path = [{ place: start, at: 0 }];
      state[start] = 1;
      let depth = 1;
      while (depth > 0) {
        const here = path[depth - 1];
        if (here.at === needs[here.place].length) {
          state[here.place] = 2;
          depth--;
          continue;
        }
        const next = needs[here.place][here.at++];
        if (state[next] === 1) {
          let cycle = ids[next];
          for (let i = depth - 1; i >= 0; i--) {
            cycle = ids[path[i].place] + " ← " + cycle;
            if (path[i].place === next) break;
          }
          throw typeError("dag() nodes depend on each other in a cycle: " + cycle, "cycle");
        }
        if (state[next] === 0) {
          state[next] = 1;
          define(path, depth++, { place: next, at: 0 });
        }
      }
    };
    for (let i = 0; i < ids.length; i++) if (state[i] === 0) visit(i);
  };

  // A node starts as soon as its own dependencies are done. It has waited for all of them, whoever came last. In MiMo Code's
  // scripts (S16) results are lists of {id, result}, and a node that throws rejects the whole.
  const dag = function dag(given, run) {
    try {
      const { nodes, ids, needs } = readNodes(given);
      if (typeof run !== "function") throw typeError("dag() needs a function second: (node, results) => agent(…)");
      const outer = core.lane;
      const n = nodes.length;
      const join = openJoin(n);
      const { promise, resolve, reject } = makePromise(core.nextId(), true);
      const isMimo = core.isMimo();
      const results = makeArray(n, () => null);
      const failed = makeArray(n, () => false);
      const waitsFor = makeArray(n, (i) => needs[i].length);
      const dependants = makeArray(n, () => []);
      for (let i = 0; i < n; i++) for (let d = 0; d < needs[i].length; d++) define(dependants[needs[i][d]], dependants[needs[i][d]].length, i);

      const resultsOf = (places) => {
        if (isMimo) return makeArray(places.length, (k) => ({ id: ids[places[k]], result: results[places[k]] }));
        const byId = {};
        for (let k = 0; k < places.length; k++) {
          defineProperty(byId, ids[places[k]], { __proto__: null, value: results[places[k]], writable: true, enumerable: true, configurable: true });
        }
        return byId;
      };
      const end = (i, value, error) => {
        if (join.isDecided) return;
        leaveSlot(join, i);
        results[i] = value;
        if (error) failed[i] = true;
        for (let d = 0; d < dependants[i].length; d++) if (--waitsFor[dependants[i][d]] === 0) start(dependants[i][d]);
        if (join.left === 0) {
          decide(join);
          resolve(resultsOf(makeArray(n, (k) => k)));
        }
      };
      const start = (i) => {
        const before = core.lane;
        const lane = join.lanes[i];
        let slots = "";
        let broken = "";
        for (let d = 0; d < needs[i].length; d++) {
          const place = needs[i][d];
          slots += (d ? "," : "") + join.lanes[place].id;
          if (failed[place]) broken ||= ids[place];
        }
        if (slots) emit('["a",' + lane.id + ",[" + slots + "]]");
        core.lane = lane;
        if (broken) {
          core.warn("dag() node '" + ids[i] + "' did not run: '" + broken + "', which it depends on, failed (its result is null)", "dependency_failed");
          later(() => end(i, null, true));
        } else {
          try {
            follow(run(nodes[i], resultsOf(needs[i])), (v) => end(i, v, false), (e) => fail(i, e));
          } catch (error) {
            later(() => fail(i, error));
          }
        }
        if (!join.isDecided) core.lane = before;
      };
      const fail = (i, error) => {
        if (join.isDecided) return;
        if (isMimo) {
          leaveSlot(join, i);
          decide(join);
          reject(error);
          return;
        }
        const d = core.describe(error);
        core.warn("dag() node '" + ids[i] + "': " + (d.name || "Error") + ": " + d.message + " (its result is null)", "swallowed_error");
        end(i, null, true);
      };

      try {
        for (let i = 0; i < n; i++) if (needs[i].length === 0) start(i);
      } finally {
        core.lane = outer; // also when the stack ended in here
      }
      if (n === 0) {
        decide(join);
        resolve(resultsOf([]));
      }
      core.lane = outer;
      return promise;
    } catch (error) {
      return core.rejected(error);
    }
  };


  define(globalThis, "race", race);
  define(globalThis, "dag", dag);
})(globalThis.__pawl);
