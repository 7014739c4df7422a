// Time and chance as the journal knows them (S10, S11, S13): a replay sees the same clock and the same numbers.
((core) => {
  "use strict";
  const { define, construct } = core;
  const NativeDate = Date;
  const imul = Math.imul;

  // The logical clock, in whole milliseconds. Only the host moves it, when it delivers a result.
  core.clock = 0;

  const LogicalDate = function Date(...given) {
    if (new.target === undefined) return new NativeDate(core.clock).toString();
    return construct(NativeDate, given.length === 0 ? [core.clock] : given, new.target);
  };
  LogicalDate.prototype = NativeDate.prototype;
  define(LogicalDate, "length", 7);
  define(LogicalDate, "now", function now() { return core.clock; });
  define(LogicalDate, "parse", NativeDate.parse);
  define(LogicalDate, "UTC", NativeDate.UTC);
  define(NativeDate.prototype, "constructor", LogicalDate);
  define(globalThis, "Date", LogicalDate);

  // One stream of numbers a lane. FNV-1a of the seed and the lane's path starts sfc32, which passes PractRand and needs
  // only 32-bit arithmetic. A lane makes its stream when it is first asked.
  const hash32 = (text, start) => {
    let h = start;
    for (let i = 0; i < text.length; i++) h = imul(h ^ core.charCodeAt(text, i), 0x01000193);
    return h >>> 0;
  };
  const makeStream = (name) => {
    let a = hash32(name, 0x811c9dc5);
    let b = hash32(name, a ^ 0x9e3779b9);
    let c = hash32(name, b ^ 0x85ebca6b);
    let counter = 1;
    const next = () => {
      const t = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (c << 21) | (c >>> 11);
      c = (c + t) | 0;
      return t >>> 0;
    };
    for (let i = 0; i < 12; i++) next();
    return next;
  };
  define(Math, "random", function random() {
    const lane = core.lane;
    lane.random ??= makeStream(core.config.seed + "\n" + core.lanePath(lane));
    // 53 bits, as engines give.
    return ((lane.random() >>> 5) * 67108864 + (lane.random() >>> 6)) / 9007199254740992;
  });

  for (const name of ["WeakRef", "FinalizationRegistry", "Atomics", "SharedArrayBuffer", "performance", "__date_clock"]) {
    delete globalThis[name];
  }
  // Hooks of quickjs-ng into every stack, also into those that our own lines are read from. Taken away, they are plain
  // properties that a script may set.
  for (const name of ["prepareStackTrace", "stackTraceLimit"]) delete Error[name];
})(globalThis.__pawl);
