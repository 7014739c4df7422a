// What the files 10_builtins_*.js share. They give scripts the built-ins that people write without thinking (S09), the
// same ones on every engine that can stand under the sandbox: a native one stays where it exists and is right.
//
// Two rules for all of them (S08). Nothing is looked up at run time that a script can have patched: `uncurry` captures a
// method at boot. And they are for scripts: the primitives of this library use none of them.
((core) => {
  "use strict";
  const { call } = Function.prototype;
  const { getOwnPropertyDescriptor } = Object;
  const { ownKeys } = Reflect;
  const { trunc } = Math;

  /** `uncurry(Array.prototype.slice)(list, 1)` is `list.slice(1)`, whatever happens to `slice` or to `call` later. */
  const uncurry = call.bind.bind(call);

  /** The getter of an accessor property, as a function of its object. */
  const uncurryGetter = (target, name) => uncurry(getOwnPropertyDescriptor(target, name).get);

  /** Defines the members of `source` that `target` lacks. Written as methods, they have the right name and length. */
  const addMissing = (target, source) => {
    for (const name of ownKeys(source)) if (!(name in target)) core.define(target, name, source[name]);
  };

  const toIntegerOrInfinity = (value) => {
    const number = +value;
    return number !== number ? 0 : trunc(number) + 0; // + 0: there is no -0 among positions
  };

  const requireFunction = (value, what) => {
    if (typeof value !== "function") throw new TypeError(`${what} must be a function`);
  };

  core.builtins = { __proto__: null, addMissing, requireFunction, toIntegerOrInfinity, uncurry, uncurryGetter };
})(globalThis.__pawl);
