// Calls: what a script asks the host for. A call is a line in the queue, a place in `pending`, and a promise.
((core) => {
  "use strict";
  const { apply, charCodeAt, emit, makeError, makePromise, nextId, parse, quote, setPrototypeOf, title } = core;
  const pending = core.safeMap();
  let made = 0;

  const cancelledError = () =>
    makeError("This call was withdrawn: the race, failFast or workflow that it belongs to was decided without it", "cancelled", "CancelledError");

  // Line of the script where the current call was made, 0 when the engine has none. The library's own lines start far
  // above any script's (config.libraryLine), so the first line below that is the script's.
  const NativeError = Error;
  const nativeIndexOf = String.prototype.indexOf;
  const PLACE = "<input>:";
  const callLine = () => {
    const stack = new NativeError().stack;
    const placeFrom = (at) => apply(nativeIndexOf, stack, [PLACE, at]);
    for (let at = placeFrom(0); at >= 0; at = placeFrom(at)) {
      // The digits of "at f (<input>:12)"; a name may hold any, as of a method 'GET:7'.
      let number = 0;
      for (let unit = charCodeAt(stack, (at += PLACE.length)); unit >= 48 && unit <= 57; unit = charCodeAt(stack, ++at)) {
        number = number * 10 + unit - 48;
      }
      if (number > 0 && number < core.config.libraryLine) return number;
    }
    return 0;
  };

  // Makes a call and returns its promise. `content` is the JSON text of the object that the host gets; `receive` turns
  // what the host delivers into what the script gets.
  const request = (kind, content, options) => {
    const lane = core.lane;
    if (core.isCancelled(lane)) {
      const refused = makePromise(nextId(), true);
      refused.reject(cancelledError());
      return refused.promise;
    }
    const id = nextId();
    const { promise, resolve, reject } = makePromise(id, false);
    const call = { __proto__: null, id, lane, resolve, reject, receive: options?.receive ?? null, isNullOnError: options?.isNullOnError ?? false };
    const label = options?.label;
    const phase = options?.phase ?? lane.group.phase;
    const text =
      '["c",' + id + "," + lane.id + ',"' + kind + '",' + content +
      "," + (label === undefined ? "null" : quote(title(label))) + "," + (phase === null ? "null" : quote(title(phase))) +
      "," + (options?.line ?? 0) + "," + (options?.full ? "true" : "false") + "]";
    lane.calls ??= core.safeMap();
    try {
      pending.set(id, call);
      lane.calls.set(id, call);
      emit(text);
    } catch (error) {
      // The stack ended in here: the host was told of no call, so there is none.
      forget(call);
      throw error;
    }
    made++;
    return promise;
  };

  const forget = (call) => {
    pending.delete(call.id);
    call.lane.calls?.delete(call.id);
  };

  // The host delivers one settlement: {i: call, t: clock, v: value} or {…, e: error}, u: [output tokens, USD, agents].
  // The text is parsed here, so that no part of it is ever evaluated.
  const settle = (text, fn) => {
    if (core.hasFinished) return; // the rest of a frame: what comes after the end reaches nobody (S15)
    const item = setPrototypeOf(parse(text), null);
    if (item.t !== undefined) core.clock = item.t;
    if (core.loads.has(item.i)) {
      core.loaded(item, fn);
      return;
    }
    const call = pending.get(item.i);
    if (call === undefined) return;
    forget(call);
    if (item.e) setPrototypeOf(item.e, null);
    if (item.u) core.spend(item.u);
    core.lane = call.lane;
    emit('["d",' + item.i + "]");
    if (item.e && call.isNullOnError) {
      core.warn("agent() gives null, as in MiMo Code: " + item.e.message, "null_instead_of_error");
      call.resolve(null);
    } else if (item.e) {
      call.reject(makeError(item.e.message, item.e.code, item.e.name, item.e.fields));
    } else if (call.receive === null) {
      call.resolve(item.v);
    } else {
      call.receive(call, item.v);
    }
  };

  // Withdraws calls of cancelled slots. The host stops their attempts at once; their promises reject one at a time, each
  // in its own lane and with the jobs that follow run to the end, when the script is next idle: see `step`.
  const withdraw = (calls) => {
    let ids = "";
    for (let i = 0; i < calls.length; i++) {
      const call = calls[i];
      forget(call);
      ids += (i ? "," : "") + call.id;
      whenIdle(call.lane, () => call.reject(cancelledError()));
    }
    if (ids) emit('["x",[' + ids + "]]");
  };

  // What waits until no job is left, in order.
  const idle = { __proto__: null, first: null, last: null };
  const whenIdle = (lane, run) => {
    const link = { __proto__: null, lane, run, next: null };
    if (idle.last === null) idle.first = link;
    else idle.last.next = link;
    idle.last = link;
  };

  // What is left to do once no job is left: returns whether it did something (more jobs may wait then).
  const step = () => {
    const link = idle.first;
    if (link === null || core.hasFinished) return false;
    idle.first = link.next;
    if (link.next === null) idle.last = null;
    core.lane = link.lane;
    link.run();
    return true;
  };

  // One call that the script itself takes back (clearTimeout): nobody is told.
  const takeBack = (id) => {
    const call = pending.get(id);
    if (call === undefined) return false;
    forget(call);
    emit('["x",[' + id + "]]");
    return true;
  };

  core.callLine = callLine;
  core.hasFinished = false;
  core.cancelledError = cancelledError;
  core.made = () => made;
  core.request = request;
  core.settle = settle;
  core.step = step;
  core.takeBack = takeBack;
  core.whenIdle = whenIdle;
  core.withdraw = withdraw;
})(globalThis.__pawl);
