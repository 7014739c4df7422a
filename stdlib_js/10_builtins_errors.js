// Error `cause` (ES2022), Error.isError, Error.captureStackTrace and DOMException. The 2021 engine drops the second
// argument of every error constructor, so there the constructors are wrapped. The prototypes stay the engine's own:
// errors that the engine throws, `instanceof` and subclasses see one and the same hierarchy.
((core) => {
  "use strict";
  const { addMissing, uncurry } = core.builtins;
  const { construct } = Reflect;
  const { defineProperty, setPrototypeOf } = Object;
  const objectToString = uncurry(Object.prototype.toString);
  const indexOf = uncurry(String.prototype.indexOf);
  const slice = uncurry(String.prototype.slice);
  const NativeError = Error;
  const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

  /** The stack text without its first `count` lines: the frames of this file are nobody's business. */
  const dropFrames = (stack, count) => {
    for (; count > 0; count--) stack = slice(stack, indexOf(stack, "\n") + 1);
    return stack;
  };
  const countFrames = (stack) => {
    let count = 0;
    for (let at = indexOf(stack, "\n"); at >= 0; at = indexOf(stack, "\n", at + 1)) count++;
    return count;
  };

  let extraFrames = 0; // what the wrapper adds to a stack; measured below
  const finish = (error, options) => {
    if (isObject(options) && "cause" in options) core.define(error, "cause", options.cause);
    if (extraFrames > 0) error.stack = dropFrames(error.stack, extraFrames);
    return error;
  };

  const wrap = (name, Native) => {
    const takesErrors = name === "AggregateError";
    // Two spellings, because the number of parameters is visible as `length`.
    const Wrapped = takesErrors
      ? function (errors, message) {
          return finish(construct(Native, [errors, message], new.target ?? Wrapped), arguments[2]);
        }
      : function (message) {
          return finish(construct(Native, [message], new.target ?? Wrapped), arguments[1]);
        };
    defineProperty(Wrapped, "name", { value: name });
    defineProperty(Wrapped, "prototype", { value: Native.prototype, writable: false });
    core.define(Native.prototype, "constructor", Wrapped);
    core.define(globalThis, name, Wrapped);
    return Wrapped;
  };

  const NAMES = ["EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError", "AggregateError"];
  if (!("cause" in new NativeError("", { cause: 1 }))) {
    const Wrapped = wrap("Error", NativeError);
    for (const name of NAMES) setPrototypeOf(wrap(name, globalThis[name]), Wrapped);
    extraFrames = countFrames(new Wrapped("").stack) - countFrames(new NativeError("").stack);
  }

  addMissing(Error, {
    captureStackTrace(target) {
      if (!isObject(target)) throw new TypeError("Error.captureStackTrace needs an object");
      core.define(target, "stack", dropFrames(new NativeError().stack, 1));
    },
    isError: (value) => isObject(value) && objectToString(value) === "[object Error]",
  });

  // Names and codes of the Web IDL; those that this library or a script can meet here.
  const CODES = {
    __proto__: null,
    IndexSizeError: 1,
    HierarchyRequestError: 3,
    InvalidCharacterError: 5,
    NotFoundError: 8,
    NotSupportedError: 9,
    InvalidStateError: 11,
    SyntaxError: 12,
    InvalidAccessError: 15,
    NetworkError: 19,
    AbortError: 20,
    QuotaExceededError: 22,
    TimeoutError: 23,
    DataCloneError: 25,
  };

  if (!("DOMException" in globalThis)) {
    class DOMException extends Error {
      #name;
      constructor(message = "", name = "Error") {
        super();
        core.define(this, "message", `${message}`);
        this.#name = `${name}`;
      }
      get name() {
        return this.#name;
      }
      get code() {
        return CODES[this.#name] ?? 0;
      }
    }
    defineProperty(DOMException.prototype, Symbol.toStringTag, { value: "DOMException", configurable: true });
    core.define(globalThis, "DOMException", DOMException);
  }
})(globalThis.__pawl);
