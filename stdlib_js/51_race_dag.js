// race() and dag(): S35, S36.
((core) => {
  "use strict";
  const { arrayFrom, decide, define, emit, follow, isArray, isObject, later, leaveSlot, makePromise, openJoin, typeError } = core;
  const NativeAggregateError = AggregateError;
  const { defineProperty } = Object;

  // The first to succeed wins, the rest are withdrawn; with no success the errors come in input order.
  const race = function race(thunks) {
    try {
      core.checkEntries("race", thunks, "race([() => agent('a'), () => agent('b')])");
      for (let i = 0; i < thunks.length; i++) {
        if (typeof thunks[i] !== "function") throw typeError("race() entry " + i + " must be a function: () => agent(…), not " + core.brief(thunks[i]));
      }
      const outer = core.lane;
      const n = thunks.length;
      const join = openJoin(n);
      const { promise, resolve, reject } = makePromise(core.nextId(), true);
      const errors = arrayFrom({ length: n }, () => undefined);
      const lose = (i, error) => {
        if (join.isDecided) return;
        leaveSlot(join, i);
        errors[i] = error;
        if (join.left === 0) {
          decide(join);
          reject(new NativeAggregateError(errors, n === 1 ? "The one entry of race() failed" : "All " + n + " entries of race() failed"));
        }
      };
      const win = (i, value) => {
        if (join.isDecided) return;
        leaveSlot(join, i);
        decide(join);
        resolve(value);
      };
      for (let i = 0; i < n && !join.isDecided; i++) {
        core.lane = join.lanes[i];
        try {
          follow(thunks[i](), (v) => win(i, v), (e) => lose(i, e));
        } catch (error) {
          later(() => lose(i, error));
        }
      }
      if (n === 0) {
        decide(join);
        reject(new NativeAggregateError([], "race() got no entries"));
      }
      core.lane = outer;
      return promise;
    } catch (error) {
      return core.rejected(error);
    }
  };

  // Checks the nodes and returns, by position, the positions that each depends on.
  const readNodes = (nodes) => {
    core.checkEntries("dag", nodes, "dag([{id: 'a'}, {id: 'b', dependsOn: ['a']}], run)");
    const places = core.safeMap();
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[i];
      if (!isObject(node) || typeof node.id !== "string" || node.id === "") throw typeError("dag() node " + i + " needs an id: {id: 'build', dependsOn: []}");
      if (places.has(node.id)) throw typeError("dag() has two nodes with the id '" + node.id + "'", "duplicate_node");
      places.set(node.id, i);
    }
    const needs = arrayFrom({ length: nodes.length }, () => null);
    for (let i = 0; i < nodes.length; i++) {
      const named = nodes[i].dependsOn ?? [];
      if (!isArray(named)) throw typeError("dag() node '" + nodes[i].id + "': dependsOn must be an array of ids");
      const seen = core.safeMap();
      for (let d = 0; d < named.length; d++) {
        const place = places.get(named[d]);
        if (place === undefined) throw typeError("dag() node '" + nodes[i].id + "' depends on '" + named[d] + "', which is no node", "unknown_node");
        seen.set(place, true);
      }
      const own = [];
      seen.forEach((_, place) => define(own, own.length, place));
      needs[i] = own;
    }
    checkCycles(nodes, needs);
    return needs;
  };
  const checkCycles = (nodes, needs) => {
    const state = arrayFrom({ length: nodes.length }, () => 0); // 1 on the way, 2 done
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
          let cycle = nodes[next].id;
          for (let i = depth - 1; i >= 0; i--) {
            cycle = nodes[path[i].place].id + " ← " + cycle;
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
    for (let i = 0; i < nodes.length; i++) if (state[i] === 0) visit(i);
  };

  // A node starts as soon as its own dependencies are done. It has waited for all of them, whoever came last.
  const dag = function dag(nodes, run) {
    try {
      const needs = readNodes(nodes);
      if (typeof run !== "function") throw typeError("dag() needs a function second: (node, results) => agent(…)");
      const outer = core.lane;
      const n = nodes.length;
      const join = openJoin(n);
      const { promise, resolve } = makePromise(core.nextId(), true);
      const results = arrayFrom({ length: n }, () => null);
      const failed = arrayFrom({ length: n }, () => false);
      const waitsFor = arrayFrom({ length: n }, (_, i) => needs[i].length);
      const dependants = arrayFrom({ length: n }, () => []);
      for (let i = 0; i < n; i++) for (let d = 0; d < needs[i].length; d++) define(dependants[needs[i][d]], dependants[needs[i][d]].length, i);

      const end = (i, value, error) => {
        if (join.isDecided) return;
        leaveSlot(join, i);
        results[i] = value;
        if (error) failed[i] = true;
        for (let d = 0; d < dependants[i].length; d++) if (--waitsFor[dependants[i][d]] === 0) start(dependants[i][d]);
        if (join.left === 0) {
          decide(join);
          const byId = {};
          for (let k = 0; k < n; k++) defineProperty(byId, nodes[k].id, { __proto__: null, value: results[k], writable: true, enumerable: true, configurable: true });
          resolve(byId);
        }
      };
      const start = (i) => {
        const before = core.lane;
        const lane = join.lanes[i];
        let slots = "";
        let broken = "";
        const given = {};
        for (let d = 0; d < needs[i].length; d++) {
          const place = needs[i][d];
          slots += (d ? "," : "") + join.lanes[place].id;
          if (failed[place]) broken ||= nodes[place].id;
          defineProperty(given, nodes[place].id, { __proto__: null, value: results[place], writable: true, enumerable: true, configurable: true });
        }
        if (slots) emit('["a",' + lane.id + ",[" + slots + "]]");
        core.lane = lane;
        if (broken) {
          core.warn("dag() node '" + nodes[i].id + "' did not run: '" + broken + "', which it depends on, failed (its result is null)", "dependency_failed");
          later(() => end(i, null, true));
        } else {
          try {
            follow(run(nodes[i], given), (v) => end(i, v, false), (e) => fail(i, e));
          } catch (error) {
            later(() => fail(i, error));
          }
        }
        if (!join.isDecided) core.lane = before;
      };
      const fail = (i, error) => {
        if (join.isDecided) return;
        const d = core.describe(error);
        core.warn("dag() node '" + nodes[i].id + "': " + (d.name || "Error") + ": " + d.message + " (its result is null)", "swallowed_error");
        end(i, null, true);
      };

      for (let i = 0; i < n; i++) if (needs[i].length === 0) start(i);
      if (n === 0) {
        decide(join);
        resolve({});
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
