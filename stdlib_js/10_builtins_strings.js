// String.prototype.at, isWellFormed and toWellFormed, RegExp.escape, and the base64 pair btoa and atob.
((core) => {
  "use strict";
  const { addMissing, toIntegerOrInfinity, uncurry } = core.builtins;
  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const includes = uncurry(String.prototype.includes);
  const indexOf = uncurry(String.prototype.indexOf);
  const replace = uncurry(RegExp.prototype[Symbol.replace]);
  const numberToString = uncurry(Number.prototype.toString);
  const { fromCharCode } = String;
  const { DOMException } = globalThis;

  const toText = (value) => {
    if (value === undefined || value === null) throw new TypeError("String method called on null or undefined");
    return `${value}`;
  };

  /** The index of the first surrogate without its partner at or after `from`, or -1. */
  const loneSurrogate = (text, from) => {
    for (let i = from; i < text.length; i++) {
      const unit = charCodeAt(text, i);
      if (unit < 0xd800 || unit > 0xdfff) continue;
      const next = unit < 0xdc00 ? charCodeAt(text, i + 1) : 0; // NaN at the end
      if (next >= 0xdc00 && next <= 0xdfff) i++;
      else return i;
    }
    return -1;
  };

  const slice = uncurry(String.prototype.slice);
  const toWellFormed = (text) => {
    let result = "";
    let from = 0;
    for (let at = loneSurrogate(text, 0); at >= 0; at = loneSurrogate(text, from)) {
      result += slice(text, from, at) + "\ufffd";
      from = at + 1;
    }
    return from === 0 ? text : result + slice(text, from);
  };
  core.builtins.toWellFormed = toWellFormed;

  addMissing(String.prototype, {
    at(index) {
      const text = toText(this);
      const relative = toIntegerOrInfinity(index);
      return text[relative < 0 ? text.length + relative : relative];
    },
    isWellFormed() {
      return loneSurrogate(toText(this), 0) < 0;
    },
    toWellFormed() {
      return toWellFormed(toText(this));
    },
  });

  const hex = (code, width) => {
    let digits = numberToString(code, 16);
    while (digits.length < width) digits = "0" + digits;
    return digits;
  };
  const CONTROLS = { __proto__: null, "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r" };
  const escapeUnit = (unit, isFirst) => {
    if (includes("^$\\.*+?()[]{}|/", unit)) return "\\" + unit;
    if (CONTROLS[unit]) return CONTROLS[unit];
    const code = charCodeAt(unit, 0);
    const isWord = (unit >= "0" && unit <= "9") || (unit >= "a" && unit <= "z") || (unit >= "A" && unit <= "Z");
    const mustEscape = (isFirst && isWord) || includes(",-=<>#&!%:;@~'`\" \u00a0\ufeff\u2028\u2029\u202f\u205f\u3000\u1680", unit);
    if (!mustEscape && !(code >= 0x2000 && code <= 0x200a) && loneSurrogate(unit, 0) < 0) return unit;
    return code < 256 ? "\\x" + hex(code, 2) : "\\u" + hex(code, 4);
  };
  addMissing(RegExp, {
    escape(text) {
      if (typeof text !== "string") throw new TypeError("RegExp.escape needs a string");
      let result = "";
      for (let i = 0; i < text.length; i++) {
        const isPair = loneSurrogate(text[i], 0) === 0 && loneSurrogate(slice(text, i, i + 2), 0) < 0;
        if (isPair) result += text[i] + text[++i];
        else result += escapeUnit(text[i], i === 0);
      }
      return result;
    },
  });

  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const invalid = (message) => new DOMException(message, "InvalidCharacterError");
  addMissing(globalThis, {
    btoa(data) {
      const text = `${data}`;
      let result = "";
      for (let i = 0; i < text.length; i += 3) {
        let bits = 0;
        for (let j = 0; j < 3; j++) {
          const code = i + j < text.length ? charCodeAt(text, i + j) : 0;
          if (code > 255) throw invalid("btoa takes bytes (characters up to U+00FF): encode text with TextEncoder first");
          bits = (bits << 8) | code;
        }
        const used = text.length - i;
        result += ALPHABET[bits >> 18] + ALPHABET[(bits >> 12) & 63];
        result += (used > 1 ? ALPHABET[(bits >> 6) & 63] : "=") + (used > 2 ? ALPHABET[bits & 63] : "=");
      }
      return result;
    },
    atob(data) {
      let text = replace(/[\t\n\f\r ]+/g, `${data}`, "");
      if (text.length % 4 === 0) text = replace(/==?$/, text, "");
      if (text.length % 4 === 1) throw invalid("The text is not correctly encoded as base64");
      let result = "";
      let bits = 0;
      let count = 0;
      for (let i = 0; i < text.length; i++) {
        const value = indexOf(ALPHABET, text[i]);
        if (value < 0) throw invalid("The text is not correctly encoded as base64");
        bits = ((bits << 6) | value) & 0xfff;
        count += 6;
        if (count >= 8) {
          count -= 8;
          result += fromCharCode((bits >> count) & 255);
        }
      }
      return result;
    },
  });
})(globalThis.__pawl);
