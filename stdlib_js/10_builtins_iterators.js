// Iterator helpers (ES2025): map.values().map(f).toArray() and its relatives, and the Iterator constructor.
((core) => {
  "use strict";
  if ("Iterator" in globalThis) return;
  const { addMissing, requireFunction, toIntegerOrInfinity, uncurry } = core.builtins;
  const { apply } = Reflect;
  const { create, getPrototypeOf } = Object;
  const { iterator: iteratorSymbol, toStringTag } = Symbol;
  const IteratorPrototype = getPrototypeOf(getPrototypeOf([].values()));
  const isPrototypeOf = uncurry(Object.prototype.isPrototypeOf);
  const GeneratorPrototype = getPrototypeOf((function* () {})()).__proto__;
  const generatorNext = uncurry(GeneratorPrototype.next);
  const generatorReturn = uncurry(GeneratorPrototype.return);
  const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

  /** An iterator as a for-of loop takes it: `next` read once; the loop then closes it exactly as the standard says. */
  const sourceOf = (iterator) => {
    if (!isObject(iterator)) throw new TypeError("Iterator method called on something that is not an iterator");
    const { next } = iterator;
    return {
      __proto__: null,
      next: () => apply(next, iterator, []),
      return: () => {
        const close = iterator.return;
        return close === undefined || close === null ? {} : apply(close, iterator, []);
      },
      [iteratorSymbol]() {
        return this;
      },
    };
  };

  const flattened = (value, acceptStrings) => {
    if (!isObject(value) && !(acceptStrings && typeof value === "string")) {
      throw new TypeError("Expected an iterable or an iterator");
    }
    const method = value[iteratorSymbol];
    return method === undefined || method === null ? value : apply(method, value, []);
  };

  const limitOf = (value) => {
    const number = +value;
    const limit = toIntegerOrInfinity(number);
    if (number !== number || limit < 0) throw new RangeError("The limit must be a number that is not negative");
    return limit;
  };

  function* mapped(source, mapper) {
    let index = 0;
    for (const value of source) yield mapper(value, index++);
  }
  function* filtered(source, predicate) {
    let index = 0;
    for (const value of source) if (predicate(value, index++)) yield value;
  }
  function* taken(source, limit) {
    if (limit === 0) source.return();
    else {
      for (const value of source) {
        yield value;
        if (--limit === 0) return;
      }
    }
  }
  function* dropped(source, limit) {
    for (const value of source) {
      if (limit > 0) limit--;
      else yield value;
    }
  }
  function* flatMapped(source, mapper) {
    let index = 0;
    for (const value of source) yield* sourceOf(flattened(mapper(value, index++), false));
  }

  // A helper is a generator behind a prototype of its own, so that return() before the first next() closes the source.
  class Helper {
    #generator;
    #source;
    #started = false;
    constructor(generator, source) {
      this.#generator = generator;
      this.#source = source;
    }
    next() {
      this.#started = true;
      return generatorNext(this.#generator);
    }
    return() {
      if (!this.#started) {
        this.#started = true;
        generatorReturn(this.#generator);
        this.#source.return();
      }
      return generatorReturn(this.#generator);
    }
  }
  const HelperPrototype = Helper.prototype;
  Object.setPrototypeOf(HelperPrototype, IteratorPrototype);
  delete HelperPrototype.constructor;
  Object.defineProperty(HelperPrototype, toStringTag, { value: "Iterator Helper", configurable: true });
  const helper = (generate, iterator, argument) => {
    const source = sourceOf(iterator);
    return new Helper(generate(source, argument), source);
  };

  addMissing(IteratorPrototype, {
    map(mapper) {
      requireFunction(mapper, "The mapper");
      return helper(mapped, this, mapper);
    },
    filter(predicate) {
      requireFunction(predicate, "The predicate");
      return helper(filtered, this, predicate);
    },
    take(limit) {
      return helper(taken, this, limitOf(limit));
    },
    drop(limit) {
      return helper(dropped, this, limitOf(limit));
    },
    flatMap(mapper) {
      requireFunction(mapper, "The mapper");
      return helper(flatMapped, this, mapper);
    },
    reduce(reducer, ...initial) {
      requireFunction(reducer, "The reducer");
      let index = 0;
      let empty = initial.length === 0;
      let result = initial[0];
      for (const value of sourceOf(this)) {
        result = empty ? value : reducer(result, value, index);
        empty = false;
        index++;
      }
      if (empty) throw new TypeError("Reduce of an empty iterator with no initial value");
      return result;
    },
    toArray() {
      const result = [];
      for (const value of sourceOf(this)) result[result.length] = value;
      return result;
    },
    forEach(callback) {
      requireFunction(callback, "The callback");
      let index = 0;
      for (const value of sourceOf(this)) callback(value, index++);
    },
    some(predicate) {
      requireFunction(predicate, "The predicate");
      let index = 0;
      for (const value of sourceOf(this)) if (predicate(value, index++)) return true;
      return false;
    },
    every(predicate) {
      requireFunction(predicate, "The predicate");
      let index = 0;
      for (const value of sourceOf(this)) if (!predicate(value, index++)) return false;
      return true;
    },
    find(predicate) {
      requireFunction(predicate, "The predicate");
      let index = 0;
      for (const value of sourceOf(this)) if (predicate(value, index++)) return value;
      return undefined;
    },
  });

  function Iterator() {
    if (new.target === undefined || new.target === Iterator) throw new TypeError("Iterator is abstract: extend it");
  }
  Object.defineProperty(Iterator, "prototype", { value: IteratorPrototype, writable: false });
  core.define(IteratorPrototype, "constructor", Iterator);
  core.define(IteratorPrototype, toStringTag, "Iterator");

  const WrapPrototype = create(IteratorPrototype);
  addMissing(Iterator, {
    from(value) {
      const iterator = flattened(value, true);
      if (isPrototypeOf(IteratorPrototype, iterator)) return iterator;
      const source = sourceOf(iterator);
      const wrapped = create(WrapPrototype);
      core.define(wrapped, "next", source.next);
      core.define(wrapped, "return", source.return);
      return wrapped;
    },
  });
  core.define(globalThis, "Iterator", Iterator);
})(globalThis.__pawl);
