// Object.hasOwn, the groupBy family, Map's getOrInsert and the seven Set methods of ES2025.
((core) => {
  "use strict";
  const { addMissing, requireFunction, toIntegerOrInfinity, uncurry, uncurryGetter } = core.builtins;
  const { apply } = Reflect;
  const { create } = Object;
  const hasOwnProperty = uncurry(Object.prototype.hasOwnProperty);
  const NativeMap = Map;
  const NativeSet = Set;
  const mapGet = uncurry(Map.prototype.get);
  const mapHas = uncurry(Map.prototype.has);
  const mapSet = uncurry(Map.prototype.set);
  const weakGet = uncurry(WeakMap.prototype.get);
  const weakHas = uncurry(WeakMap.prototype.has);
  const weakSet = uncurry(WeakMap.prototype.set);
  const setAdd = uncurry(Set.prototype.add);
  const setDelete = uncurry(Set.prototype.delete);
  const setHas = uncurry(Set.prototype.has);
  const setSize = uncurryGetter(Set.prototype, "size"); // throws for everything that is not a Set
  const setValues = uncurry(Set.prototype.values);
  const setNext = uncurry(Object.getPrototypeOf(new Set().values()).next);

  addMissing(Object, {
    hasOwn(object, key) {
      if (object === undefined || object === null) throw new TypeError("Object.hasOwn called on null or undefined");
      return hasOwnProperty(object, key);
    },
    groupBy(items, callback) {
      requireFunction(callback, "The callback");
      const groups = create(null);
      let index = 0;
      for (const item of items) {
        const answer = callback(item, index++);
        const key = typeof answer === "symbol" ? answer : `${answer}`;
        const group = (groups[key] ??= []);
        group[group.length] = item;
      }
      return groups;
    },
  });

  addMissing(Map, {
    groupBy(items, callback) {
      requireFunction(callback, "The callback");
      const groups = new NativeMap();
      let index = 0;
      for (const item of items) {
        const key = callback(item, index++);
        const group = mapGet(groups, key);
        if (group === undefined) mapSet(groups, key, [item]);
        else group[group.length] = item;
      }
      return groups;
    },
  });

  const insertMethods = (has, get, set) => ({
    getOrInsert(key, value) {
      if (!has(this, key)) set(this, key, value);
      return get(this, key);
    },
    getOrInsertComputed(key, callback) {
      if (has(this, key)) return get(this, key);
      requireFunction(callback, "The callback");
      const value = callback(key);
      set(this, key, value);
      return value;
    },
  });
  addMissing(Map.prototype, insertMethods(mapHas, mapGet, mapSet));
  addMissing(WeakMap.prototype, insertMethods(weakHas, weakGet, weakSet));

  /** What the Set methods need of their argument: anything with size, has() and keys(), as a Set or a Map has. */
  const setRecord = (other) => {
    if ((typeof other !== "object" && typeof other !== "function") || other === null) {
      throw new TypeError("The argument must be a Set or have size, has() and keys()");
    }
    const number = +other.size;
    if (number !== number) throw new TypeError("The argument must be a Set: its size is not a number (pass new Set(list))");
    const size = toIntegerOrInfinity(number);
    if (size < 0) throw new RangeError("The argument's size must not be negative");
    const { has, keys } = other;
    requireFunction(has, "has of the argument");
    requireFunction(keys, "keys of the argument");
    return {
      size,
      has: (value) => !!apply(has, other, [value]),
      /** Visits the keys until `visit` returns true. */
      visit: (visit) => {
        const iterator = apply(keys, other, []);
        if ((typeof iterator !== "object" && typeof iterator !== "function") || iterator === null) {
          throw new TypeError("keys() of the argument must return an iterator");
        }
        const { next } = iterator;
        for (;;) {
          const step = apply(next, iterator, []);
          if (step.done) return;
          if (visit(step.value)) {
            iterator.return?.();
            return;
          }
        }
      },
    };
  };

  /** Visits the values of a Set until `visit` returns true, and says whether one did. */
  const someValue = (set, visit) => {
    const values = setValues(set);
    for (let step = setNext(values); !step.done; step = setNext(values)) if (visit(step.value)) return true;
    return false;
  };

  const copySet = (set) => {
    const copy = new NativeSet();
    someValue(set, (value) => void setAdd(copy, value));
    return copy;
  };

  addMissing(Set.prototype, {
    union(other) {
      setSize(this);
      const record = setRecord(other);
      const result = copySet(this);
      record.visit((value) => void setAdd(result, value));
      return result;
    },
    intersection(other) {
      const size = setSize(this);
      const record = setRecord(other);
      const result = new NativeSet();
      if (size <= record.size) someValue(this, (value) => void (record.has(value) && setAdd(result, value)));
      else record.visit((value) => void (setHas(this, value) && setAdd(result, value)));
      return result;
    },
    difference(other) {
      const size = setSize(this);
      const record = setRecord(other);
      const result = copySet(this);
      if (size <= record.size) someValue(this, (value) => void (record.has(value) && setDelete(result, value)));
      else record.visit((value) => void setDelete(result, value));
      return result;
    },
    symmetricDifference(other) {
      setSize(this);
      const record = setRecord(other);
      const result = copySet(this);
      record.visit((value) => void (setHas(this, value) ? setDelete(result, value) : setAdd(result, value)));
      return result;
    },
    isSubsetOf(other) {
      const size = setSize(this);
      const record = setRecord(other);
      return size <= record.size && !someValue(this, (value) => !record.has(value));
    },
    isSupersetOf(other) {
      const size = setSize(this);
      const record = setRecord(other);
      if (size < record.size) return false;
      let all = true;
      record.visit((value) => !(all = setHas(this, value)));
      return all;
    },
    isDisjointFrom(other) {
      const size = setSize(this);
      const record = setRecord(other);
      if (size <= record.size) return !someValue(this, (value) => record.has(value));
      let none = true;
      record.visit((value) => !(none = !setHas(this, value)));
      return none;
    },
  });
})(globalThis.__pawl);
