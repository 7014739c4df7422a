// structuredClone: the copy that scripts use to keep one agent's data apart from another's.
((core) => {
  "use strict";
  if ("structuredClone" in globalThis) return;
  const { addMissing, uncurry, uncurryGetter } = core.builtins;
  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, keys } = Object;
  const { DOMException } = globalThis;
  const objectPrototype = Object.prototype;
  const toObject = Object;
  const isArray = Array.isArray;
  const isView = ArrayBuffer.isView;
  const objectToString = uncurry(objectPrototype.toString);
  const NativeArray = Array;
  const NativeDate = Date;
  const NativeMap = Map;
  const NativeRegExp = RegExp;
  const NativeSet = Set;
  const getTime = uncurry(Date.prototype.getTime);
  const bufferSlice = uncurry(ArrayBuffer.prototype.slice);
  const mapForEach = uncurry(Map.prototype.forEach);
  const mapGet = uncurry(Map.prototype.get);
  const mapSet = uncurry(Map.prototype.set);
  const setAdd = uncurry(Set.prototype.add);
  const setForEach = uncurry(Set.prototype.forEach);
  const bufferSize = uncurryGetter(ArrayBuffer.prototype, "byteLength");
  const mapSize = uncurryGetter(Map.prototype, "size");
  const setSize = uncurryGetter(Set.prototype, "size");
  const regExpGlobal = uncurryGetter(RegExp.prototype, "global");
  const regExpSource = uncurryGetter(RegExp.prototype, "source");
  const typedArray = getPrototypeOf(Int8Array).prototype;
  const typedTag = uncurryGetter(typedArray, Symbol.toStringTag);
  const views = { __proto__: null, DataView: [DataView, DataView.prototype] };
  for (const name of ["Int8", "Uint8", "Uint8Clamped", "Int16", "Uint16", "Int32", "Uint32", "Float16", "Float32", "Float64",
    "BigInt64", "BigUint64"]) {
    const constructor = globalThis[`${name}Array`];
    if (constructor) views[`${name}Array`] = [constructor, typedArray];
  }
  for (const name of keys(views)) {
    const [constructor, prototype] = views[name];
    views[name] = {
      constructor,
      buffer: uncurryGetter(prototype, "buffer"),
      offset: uncurryGetter(prototype, "byteOffset"),
      size: uncurryGetter(prototype, prototype === typedArray ? "length" : "byteLength"),
    };
  }
  const errors = { __proto__: null, Error };
  for (const name of ["EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"]) {
    errors[name] = globalThis[name];
  }
  const symbolToString = uncurry(Symbol.prototype.toString);
  const booleanValue = uncurry(Boolean.prototype.valueOf);
  const numberValue = uncurry(Number.prototype.valueOf);
  const stringValue = uncurry(String.prototype.valueOf);
  const bigintValue = uncurry(BigInt.prototype.valueOf);

  // Flag by flag: the getter `flags` itself reads properties that a script can replace.
  const FLAGS = { d: "hasIndices", g: "global", i: "ignoreCase", m: "multiline", s: "dotAll", u: "unicode", v: "unicodeSets",
    y: "sticky" };
  const flagGetters = keys(FLAGS)
    .filter((letter) => FLAGS[letter] in RegExp.prototype)
    .map((letter) => ({ letter, isSet: uncurryGetter(RegExp.prototype, FLAGS[letter]) }));
  const flagsOf = (value) => {
    let flags = "";
    for (let i = 0; i < flagGetters.length; i++) if (flagGetters[i].isSet(value)) flags += flagGetters[i].letter;
    return flags;
  };

  const refuse = (what) => {
    throw new DOMException(`${what} could not be cloned.`, "DataCloneError");
  };

  const remember = (memory, value, copy) => {
    mapSet(memory, value, copy);
    return copy;
  };

  /** Sets an own property, whatever setters the prototypes have (`__proto__` is one). */
  const setOwn = (target, key, value) => {
    if (key in target) {
      defineProperty(target, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
    } else target[key] = value;
  };

  const copyMembers = (source, target, memory) => {
    const names = keys(source);
    for (let i = 0; i < names.length; i++) setOwn(target, names[i], clone(source[names[i]], memory));
    return target;
  };

  const cloneView = (value, memory) => {
    const kind = views[typedTag(value) ?? "DataView"];
    const buffer = clone(kind.buffer(value), memory);
    return new kind.constructor(buffer, kind.offset(value), kind.size(value));
  };

  const cloneError = (value, memory) => {
    const { name } = value;
    const constructor = errors[name === undefined ? "Error" : `${name}`] ?? errors.Error;
    const message = getOwnPropertyDescriptor(value, "message");
    const copy = message && "value" in message ? new constructor(`${message.value}`) : new constructor();
    mapSet(memory, value, copy);
    core.define(copy, "stack", value.stack);
    const cause = getOwnPropertyDescriptor(value, "cause");
    if (cause && "value" in cause) core.define(copy, "cause", clone(cause.value, memory));
    return copy;
  };

  const cloneMap = (value, memory) => {
    const copy = new NativeMap();
    mapSet(memory, value, copy);
    const entries = [];
    mapForEach(value, (member, key) => void (entries[entries.length] = { key, member }));
    for (let i = 0; i < entries.length; i++) mapSet(copy, clone(entries[i].key, memory), clone(entries[i].member, memory));
    return copy;
  };

  const cloneSet = (value, memory) => {
    const copy = new NativeSet();
    mapSet(memory, value, copy);
    const members = [];
    setForEach(value, (member) => void (members[members.length] = member));
    for (let i = 0; i < members.length; i++) setAdd(copy, clone(members[i], memory));
    return copy;
  };

  // What an object is inside cannot be asked, only tried: each of these getters throws for an object of another kind.
  const kinds = [
    [mapSize, cloneMap],
    [setSize, cloneSet],
    [getTime, (value) => new NativeDate(getTime(value))],
    [bufferSize, (value) => bufferSlice(value, 0)],
    [regExpGlobal, (value) => new NativeRegExp(regExpSource(value), flagsOf(value))],
    [booleanValue, (value) => toObject(booleanValue(value))],
    [numberValue, (value) => toObject(numberValue(value))],
    [stringValue, (value) => toObject(stringValue(value))],
    [bigintValue, (value) => toObject(bigintValue(value))],
  ];
  const is = (brand, value) => {
    try {
      brand(value);
      return true;
    } catch {
      return false;
    }
  };

  const REFUSED = { __proto__: null };
  for (const name of ["Promise", "WeakMap", "WeakSet", "WeakRef", "Symbol", "Generator", "AsyncGenerator"]) {
    REFUSED[`[object ${name}]`] = `#<${name}>`;
  }

  const cloneObject = (value, memory) => {
    if (isArray(value)) {
      const copy = new NativeArray(value.length);
      mapSet(memory, value, copy);
      return copyMembers(value, copy, memory);
    }
    const prototype = getPrototypeOf(value);
    if (prototype !== objectPrototype && prototype !== null) {
      if (isView(value)) return remember(memory, value, cloneView(value, memory));
      for (let i = 0; i < kinds.length; i++) {
        if (is(kinds[i][0], value)) return remember(memory, value, kinds[i][1](value, memory));
      }
      const tag = objectToString(value);
      if (tag === "[object Error]" || tag === "[object DOMException]") return cloneError(value, memory);
      if (REFUSED[tag]) refuse(REFUSED[tag]);
    }
    const copy = {};
    mapSet(memory, value, copy);
    return copyMembers(value, copy, memory);
  };

  /** `memory`: original to copy, so that cycles and shared objects stay what they are. */
  const clone = (value, memory) => {
    if (typeof value === "symbol") refuse(symbolToString(value));
    if (typeof value === "function") refuse("A function");
    if (typeof value !== "object" || value === null) return value;
    return mapGet(memory, value) ?? cloneObject(value, memory);
  };

  addMissing(globalThis, {
    structuredClone(value, options = undefined) {
      if (arguments.length === 0) throw new TypeError("structuredClone needs a value");
      if (options?.transfer?.length > 0) refuse("A transferred object");
      return clone(value, new NativeMap());
    },
  });
})(globalThis.__pawl);
