// Lanes: where in the script's structure a request is made, and who waited for what.
//
// `core.lane` is the lane in which code runs now. The host's delivery sets it (one settlement, then jobs until idle),
// and so do the primitives when they run a slot. The host keeps the books (engine/lanes.py); this file tells it what it
// cannot see: which slots opened, ended and joined, who woke whom (rule W), and which promise that had already settled
// is used where (rule U).
((core) => {
  "use strict";
  const { apply, define, emit, isPromise, makeArray, NativePromise, typeError } = core;
  const nativeThen = NativePromise.prototype.then;

  // id: the host's name of the lane. outer: the lane that opened it, null for the script's own. position: of its join in
  // the outer lane. calls: pending calls, made when needed. joins: open joins in it. group: the workflow it belongs to,
  // with the dialect that it is written in (S16).
  const makeLane = (id, outer, position, slot, group) => ({
    __proto__: null,
    id, outer, position, slot, group,
    opened: 0, isCancelled: false, hasEnded: false, random: null, calls: null, joins: null,
  });
  core.lane = makeLane(0, null, 0, 0, { __proto__: null, id: 0, phase: null, dialect: null });
  // MiMo Code's scripts rely on other ends of calls and joins: 40_agent.js, 50, 51 and 60 say which.
  const isMimo = () => core.lane.group.dialect === "mimo";
  core.isMimo = isMimo;

  // "" for the script, "/0:2" for slot 2 of its first join, "/0:2/1:0" for slot 0 of the second join in there: positions
  // in the outer lane only, so that an edit in one lane renames no other.
  const lanePath = (lane) => {
    let path = "";
    for (let l = lane; l.outer !== null; l = l.outer) path = "/" + l.position + ":" + l.slot + path;
    return path;
  };
  const isInside = (lane, outer) => {
    for (let l = lane; l !== null; l = l.outer) if (l === outer) return true;
    return false;
  };
  const isCancelled = (lane) => {
    for (let l = lane; l !== null; l = l.outer) if (l.isCancelled) return true;
    return false;
  };

  let lastId = 0;
  let lastLane = 0;
  const nextId = () => ++lastId;

  // Rule U. A promise of ours (of a primitive, or of `new Promise`) tells when it is used after it settled. `await`,
  // `then` and `Promise.all` read its `constructor` at once, and must find the engine's own there.
  class Watched extends NativePromise {
    #id = 0;
    #settled = false;
    // Written out: the engine's own spreads its arguments, by an iterator that the script may have changed.
    constructor(executor) { super(executor); }
    static watch(promise, id) { promise.#id = id; }
    static settled(promise) { promise.#settled = true; }
    static told(promise) { return promise.#settled ? promise.#id : 0; }
  }
  const { settled, told, watch } = Watched;
  // `made` is the class that the script finds there: the engine's own, or its subclass of it.
  const watchUses = (target, made) => Object.defineProperty(target, "constructor", {
    configurable: true,
    get() {
      let id = 0;
      try {
        id = told(this);
      } catch {
        // Asked of something that is no promise of ours.
      }
      if (id) emit('["u",' + id + "," + core.lane.id + "]");
      return made;
    },
  });
  watchUses(Watched.prototype, NativePromise);

  // A promise for the library: [promise, resolve, reject] as a record. `report` says whether the host must be told of the
  // settlement (it knows that of calls by itself).
  const makePromise = (id, report) => {
    const made = { __proto__: null, promise: null, resolve: null, reject: null };
    const settle = (f) => (value) => {
      if (report) emit('["s",' + id + "," + core.lane.id + "]");
      settled(made.promise);
      f(value);
    };
    made.promise = new Watched((resolve, reject) => {
      made.resolve = settle(resolve);
      made.reject = settle(reject);
    });
    watch(made.promise, id);
    return made;
  };

  // Calls `ok` or `fail` in the job in which an `await value` would go on.
  const follow = async (value, ok, fail) => {
    let result;
    try {
      result = await value;
    } catch (error) {
      fail(error);
      return;
    }
    ok(result);
  };

  // In a job of its own: a chain of slots that end at once must not become a chain of stack frames.
  const later = (f) => { follow(undefined, f, f); };

  // The script's own `new Promise`: gates, locks, queues.
  const ScriptPromise = function Promise(executor) {
    if (new.target === undefined) throw typeError("Promise must be called with new: new Promise((resolve, reject) => …)");
    if (typeof executor !== "function") throw typeError("new Promise needs a function: new Promise((resolve, reject) => …)");
    const id = nextId();
    const home = core.lane;
    let promise = null;
    let isDecided = false;
    // A withdrawn slot may still open a gate or give a lock back (`finally`). Who waits for that outside of the slot must
    // not go on in its lane, where calls are refused, but where the promise was made.
    const hand = (f, value) => {
      if (isCancelled(core.lane) && !isCancelled(home)) core.whenIdle(home, () => f(value));
      else f(value);
    };
    const tell = () => {
      emit('["s",' + id + "," + core.lane.id + "]");
      if (promise !== null) settled(promise);
    };
    const decided = () => {
      if (isDecided) return false;
      isDecided = true;
      tell();
      return true;
    };
    const body = (resolve, reject) => {
      try {
        executor(
          (value) => {
            // Resolved with another promise, it settles when that one does: tell again then, with what is known by then.
            if (decided() && isPromise(value)) follow(value, tell, tell);
            hand(resolve, value);
          },
          (error) => {
            decided();
            hand(reject, error);
          },
        );
      } catch (error) {
        decided();
        reject(error);
      }
    };
    promise = core.construct(Watched, [body], new.target === ScriptPromise ? Watched : new.target);
    watch(promise, id);
    if (new.target !== ScriptPromise) watchUses(promise, new.target);
    if (isDecided) settled(promise);
    return promise;
  };
  ScriptPromise.prototype = NativePromise.prototype;
  for (const name of ["all", "allSettled", "any", "race", "reject", "resolve"]) {
    const native = NativePromise[name];
    define(ScriptPromise, name, { [name](value) { return apply(native, NativePromise, [value]); } }[name]);
  }
  define(ScriptPromise, "withResolvers", function withResolvers() {
    let resolve, reject;
    const promise = new ScriptPromise((a, b) => { resolve = a; reject = b; });
    return { promise, resolve, reject };
  });
  define(ScriptPromise, "try", { try(f, ...given) { return new ScriptPromise((resolve) => resolve(apply(f, undefined, given))); } }.try);
  Object.defineProperty(ScriptPromise, Symbol.species, { get() { return this; }, configurable: true });
  define(globalThis, "Promise", ScriptPromise);
  define(globalThis, "queueMicrotask", function queueMicrotask(f) {
    if (typeof f !== "function") throw typeError("queueMicrotask needs a function");
    apply(nativeThen, apply(NativePromise.resolve, NativePromise, []), [() => f()]);
  });

  // A join: `n` slots of the current lane, each a lane. It is decided once; then its slots are its outer lane.
  const openJoin = (n) => {
    const outer = core.lane;
    const position = outer.opened;
    const first = lastLane + 1;
    const lanes = makeArray(n, (i) => makeLane(first + i, outer, position, i, outer.group));
    const join = { __proto__: null, outer, first, lanes, left: n, isDecided: false };
    outer.joins ??= core.safeMap();
    outer.joins.set(first, join);
    // The stack may end in here; only what the host was told of has happened.
    emit('["o",' + first + "," + n + "," + outer.id + "," + position + "]");
    outer.opened++;
    lastLane += n;
    return join;
  };

  // Rule W. From here on `lane` runs; whoever woke it hands over what it had waited for.
  const enter = (lane) => {
    if (!isInside(core.lane, lane)) emit('["w",' + lane.id + "," + core.lane.id + "]");
    core.lane = lane;
  };
  const leaveSlot = (join, i) => {
    const lane = join.lanes[i];
    if (lane.hasEnded) return;
    lane.hasEnded = true;
    emit('["e",' + lane.id + "," + core.lane.id + "]");
    join.left--;
  };

  // Decides `join`: the calls of slots that have not ended are cancelled, the outer lane takes over, `core.lane` is it.
  const decide = (join) => {
    if (join.isDecided) return;
    join.isDecided = true;
    if (join.left > 0) {
      const calls = [];
      for (let i = 0; i < join.lanes.length; i++) if (!join.lanes[i].hasEnded) cancelLane(join.lanes[i], calls);
      core.withdraw(calls);
    }
    emit('["j",' + join.first + "," + join.lanes.length + "]");
    join.outer.joins.delete(join.first);
    core.lane = join.outer;
  };
  const cancelLane = (lane, calls) => {
    // By hand, in the order of a recursion: joins may be nested deeper than the stack.
    const lanes = [lane];
    for (let left = 1; left > 0; ) {
      const here = lanes[--left];
      here.isCancelled = true;
      if (here.calls !== null) here.calls.forEach((call) => define(calls, calls.length, call));
      if (here.joins === null) continue;
      const below = [];
      here.joins.forEach((join) => {
        for (let i = 0; i < join.lanes.length; i++) define(below, below.length, join.lanes[i]);
      });
      for (let i = below.length - 1; i >= 0; i--) define(lanes, left++, below[i]);
    }
  };

  core.decide = decide;
  core.enter = enter;
  core.follow = follow;
  core.isCancelled = isCancelled;
  core.lanePath = lanePath;
  core.later = later;
  core.leaveSlot = leaveSlot;
  core.makeLane = makeLane;
  core.makePromise = makePromise;
  core.nextId = nextId;
  core.peekId = () => lastId + 1;
  core.openJoin = openJoin;
})(globalThis.__pawl);
