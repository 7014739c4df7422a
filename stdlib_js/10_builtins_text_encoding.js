// TextEncoder and TextDecoder, for UTF-8: the only encoding here.
((core) => {
  "use strict";
  if ("TextEncoder" in globalThis) return;
  const { toWellFormed, uncurry, uncurryGetter } = core.builtins;
  const { apply } = Reflect;
  const { fromCharCode } = String;
  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const codePointAt = uncurry(String.prototype.codePointAt);
  const toLowerCase = uncurry(String.prototype.toLowerCase);
  const trim = uncurry(String.prototype.trim);
  const NativeUint8Array = Uint8Array;
  const isView = ArrayBuffer.isView;
  const typedArray = Object.getPrototypeOf(Uint8Array).prototype;
  const typedTag = uncurryGetter(typedArray, Symbol.toStringTag);
  const viewParts = (prototype) => ["buffer", "byteOffset", "byteLength"].map((name) => uncurryGetter(prototype, name));
  const [typedBuffer, typedOffset, typedSize] = viewParts(typedArray);
  const [dataBuffer, dataOffset, dataSize] = viewParts(DataView.prototype);
  const bufferSize = uncurryGetter(ArrayBuffer.prototype, "byteLength");

  const encodedSize = (point) => (point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4);

  const writePoint = (bytes, at, point) => {
    const size = encodedSize(point);
    if (size === 1) bytes[at] = point;
    else {
      bytes[at] = (0xf00 >> size) & 0xff | (point >> (6 * (size - 1)));
      for (let i = 1; i < size; i++) bytes[at + i] = 0x80 | ((point >> (6 * (size - 1 - i))) & 0x3f);
    }
    return at + size;
  };

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }
    encode(input = "") {
      const text = toWellFormed(`${input}`);
      let size = 0;
      for (let i = 0; i < text.length; i++) {
        const unit = charCodeAt(text, i);
        // A surrogate is half of four bytes.
        size += unit >= 0xd800 && unit <= 0xdfff ? 2 : encodedSize(unit);
      }
      const bytes = new NativeUint8Array(size);
      for (let i = 0, at = 0; i < text.length; i++) {
        const point = codePointAt(text, i);
        at = writePoint(bytes, at, point);
        if (point > 0xffff) i++;
      }
      return bytes;
    }
    encodeInto(source, destination) {
      if (typedTag(destination) !== "Uint8Array") throw new TypeError("encodeInto needs a Uint8Array");
      const text = toWellFormed(`${source}`);
      const room = typedSize(destination);
      let read = 0;
      let written = 0;
      while (read < text.length) {
        const point = codePointAt(text, read);
        if (written + encodedSize(point) > room) break;
        written = writePoint(destination, written, point);
        read += point > 0xffff ? 2 : 1;
      }
      return { read, written };
    }
  }

  const LABELS = {
    __proto__: null,
    "unicode-1-1-utf-8": 1,
    unicode11utf8: 1,
    unicode20utf8: 1,
    "utf-8": 1,
    utf8: 1,
    "x-unicode20utf8": 1,
  };

  const bytesOf = (input) => {
    if (input === undefined) return new NativeUint8Array(0);
    if (!isView(input)) {
      bufferSize(input); // a TypeError for what is no buffer
      return new NativeUint8Array(input);
    }
    return typedTag(input) === undefined
      ? new NativeUint8Array(dataBuffer(input), dataOffset(input), dataSize(input))
      : new NativeUint8Array(typedBuffer(input), typedOffset(input), typedSize(input));
  };

  const CHUNK = 4096; // arguments of one fromCharCode call

  class TextDecoder {
    #fatal;
    #ignoreBOM;
    #isStreaming = false;
    // The decoder's state between chunks: the character being read and the range that its next byte must be in.
    #point;
    #needed;
    #lower;
    #upper;
    #isBOMSeen;

    constructor(label = "utf-8", options = {}) {
      if (!LABELS[toLowerCase(trim(`${label}`))]) {
        throw new RangeError(`TextDecoder knows utf-8 only, not "${label}"`);
      }
      this.#fatal = !!options?.fatal;
      this.#ignoreBOM = !!options?.ignoreBOM;
    }
    get encoding() {
      return "utf-8";
    }
    get fatal() {
      return this.#fatal;
    }
    get ignoreBOM() {
      return this.#ignoreBOM;
    }
    #expect(needed, lower = 0x80, upper = 0xbf) {
      this.#needed = needed;
      this.#lower = lower;
      this.#upper = upper;
    }
    decode(input = undefined, options = {}) {
      const bytes = bytesOf(input);
      if (!this.#isStreaming) {
        this.#expect(0);
        this.#isBOMSeen = false;
      }
      this.#isStreaming = !!options?.stream;
      let text = "";
      const units = [];
      const emit = (point) => {
        if (!this.#isBOMSeen) {
          this.#isBOMSeen = true;
          if (point === 0xfeff && !this.#ignoreBOM) return;
        }
        if (point > 0xffff) {
          units[units.length] = 0xd7c0 + (point >> 10);
          point = 0xdc00 | (point & 0x3ff);
        }
        units[units.length] = point;
        if (units.length < CHUNK) return;
        text += apply(fromCharCode, undefined, units);
        units.length = 0;
      };
      const fail = () => {
        this.#expect(0);
        if (this.#fatal) {
          this.#isStreaming = false;
          throw new TypeError("The bytes are not valid UTF-8");
        }
        emit(0xfffd);
      };
      for (let i = 0; i < bytes.length; i++) {
        const byte = bytes[i];
        if (this.#needed > 0) {
          if (byte < this.#lower || byte > this.#upper) {
            fail();
            i--; // the byte that broke the sequence may begin another
            continue;
          }
          this.#point = (this.#point << 6) | (byte & 0x3f);
          this.#expect(this.#needed - 1);
          if (this.#needed === 0) emit(this.#point);
        } else if (byte < 0x80) emit(byte);
        else if (byte >= 0xc2 && byte <= 0xdf) {
          this.#point = byte & 0x1f;
          this.#expect(1);
        } else if (byte >= 0xe0 && byte <= 0xef) {
          this.#point = byte & 0xf;
          this.#expect(2, byte === 0xe0 ? 0xa0 : 0x80, byte === 0xed ? 0x9f : 0xbf); // overlong forms, surrogates
        } else if (byte >= 0xf0 && byte <= 0xf4) {
          this.#point = byte & 0x7;
          this.#expect(3, byte === 0xf0 ? 0x90 : 0x80, byte === 0xf4 ? 0x8f : 0xbf); // overlong forms, past U+10FFFF
        } else fail();
      }
      if (!this.#isStreaming && this.#needed > 0) fail();
      return text + apply(fromCharCode, undefined, units);
    }
  }
  core.define(globalThis, "TextEncoder", TextEncoder);
  core.define(globalThis, "TextDecoder", TextDecoder);
})(globalThis.__pawl);
