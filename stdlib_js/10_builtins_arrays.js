// Array and typed array methods since ES2022: at, findLast, and the copies toSorted, toReversed, toSpliced, with.
((core) => {
  "use strict";
  const { addMissing, requireFunction, toIntegerOrInfinity, uncurry, uncurryGetter } = core.builtins;
  const { apply } = Reflect;
  const { asyncIterator, iterator } = Symbol;
  const toBigInt = BigInt;
  const sort = uncurry(Array.prototype.sort);
  const MAX_SAFE = Number.MAX_SAFE_INTEGER;
  const MAX_LENGTH = 2 ** 32 - 1;

  const toObject = (value) => {
    if (value === undefined || value === null) throw new TypeError("Array method called on null or undefined");
    return Object(value);
  };

  const lengthOf = (list) => {
    const length = toIntegerOrInfinity(list.length);
    return length <= 0 ? 0 : length > MAX_SAFE ? MAX_SAFE : length;
  };

  const newArray = (length) => {
    if (length > MAX_LENGTH) throw new RangeError("Invalid array length");
    return new Array(length);
  };

  /** A position that may count from the end; it can lie outside of the list. */
  const positionOf = (index, length) => {
    const relative = toIntegerOrInfinity(index);
    return relative < 0 ? length + relative : relative;
  };

  const clamp = (position, length) => (position < 0 ? 0 : position > length ? length : position);

  const lastIndexWhere = (list, length, predicate, thisArg) => {
    requireFunction(predicate, "predicate");
    for (let i = length - 1; i >= 0; i--) if (apply(predicate, thisArg, [list[i], i, list])) return i;
    return -1;
  };

  const lastWhere = (list, length, predicate, thisArg) => {
    requireFunction(predicate, "predicate");
    for (let i = length - 1; i >= 0; i--) {
      const value = list[i];
      if (apply(predicate, thisArg, [value, i, list])) return value;
    }
    return undefined;
  };

  addMissing(Array.prototype, {
    at(index) {
      const list = toObject(this);
      return list[positionOf(index, lengthOf(list))];
    },
    findLast(predicate, thisArg = undefined) {
      const list = toObject(this);
      return lastWhere(list, lengthOf(list), predicate, thisArg);
    },
    findLastIndex(predicate, thisArg = undefined) {
      const list = toObject(this);
      return lastIndexWhere(list, lengthOf(list), predicate, thisArg);
    },
    toReversed() {
      const list = toObject(this);
      const length = lengthOf(list);
      const copy = newArray(length);
      for (let i = 0; i < length; i++) copy[i] = list[length - 1 - i];
      return copy;
    },
    toSorted(compare) {
      if (compare !== undefined) requireFunction(compare, "The comparison");
      const list = toObject(this);
      const length = lengthOf(list);
      const copy = newArray(length);
      for (let i = 0; i < length; i++) copy[i] = list[i];
      return sort(copy, compare);
    },
    toSpliced(start, skipCount, ...items) {
      const list = toObject(this);
      const length = lengthOf(list);
      const from = clamp(positionOf(start, length), length);
      let skipped = 0;
      if (arguments.length === 1) skipped = length - from;
      else if (arguments.length > 1) skipped = clamp(toIntegerOrInfinity(skipCount), length - from);
      const newLength = length + items.length - skipped;
      if (newLength > MAX_SAFE) throw new TypeError("The array would be too long");
      const copy = newArray(newLength);
      let at = 0;
      for (let i = 0; i < from; i++) copy[at++] = list[i];
      for (let i = 0; i < items.length; i++) copy[at++] = items[i];
      for (let i = from + skipped; i < length; i++) copy[at++] = list[i];
      return copy;
    },
    with(index, value) {
      const list = toObject(this);
      const length = lengthOf(list);
      const position = positionOf(index, length);
      if (position < 0 || position >= length) throw new RangeError("Invalid index");
      const copy = newArray(length);
      for (let i = 0; i < length; i++) copy[i] = i === position ? value : list[i];
      return copy;
    },
  });

  addMissing(Array, {
    async fromAsync(items, mapper = undefined, thisArg = undefined) {
      if (mapper !== undefined) requireFunction(mapper, "The mapper");
      if (items === undefined || items === null) throw new TypeError("Array.fromAsync needs an iterable or an array-like");
      const result = typeof this === "function" && this !== Array ? new this() : [];
      let i = 0;
      const add = async (value) => {
        result[i] = mapper === undefined ? value : await apply(mapper, thisArg, [value, i]);
        i++;
      };
      if (items[asyncIterator] ?? items[iterator]) for await (const value of items) await add(value);
      else for (const length = lengthOf(items); i < length; ) await add(await items[i]);
      result.length = i;
      return result;
    },
  });

  const typedArray = Object.getPrototypeOf(Int8Array).prototype;
  const typedLength = uncurryGetter(typedArray, "length"); // throws for everything that is not a typed array
  const typedSlice = uncurry(typedArray.slice);
  const typedSort = uncurry(typedArray.sort);
  const typedReverse = uncurry(typedArray.reverse);

  addMissing(typedArray, {
    at(index) {
      return this[positionOf(index, typedLength(this))];
    },
    findLast(predicate, thisArg = undefined) {
      return lastWhere(this, typedLength(this), predicate, thisArg);
    },
    findLastIndex(predicate, thisArg = undefined) {
      return lastIndexWhere(this, typedLength(this), predicate, thisArg);
    },
    toReversed() {
      return typedReverse(typedSlice(this));
    },
    toSorted(compare) {
      if (compare !== undefined) requireFunction(compare, "The comparison");
      return typedSort(typedSlice(this), compare);
    },
    with(index, value) {
      const length = typedLength(this);
      const position = positionOf(index, length);
      const element = typeof this[0] === "bigint" ? toBigInt(value) : +value;
      if (position < 0 || position >= length) throw new RangeError("Invalid index");
      const copy = typedSlice(this);
      copy[position] = element;
      return copy;
    },
  });
})(globalThis.__pawl);
