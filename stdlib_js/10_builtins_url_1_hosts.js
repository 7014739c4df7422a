// URL hosts and percent-encoding, after https://url.spec.whatwg.org/ ("host parsing", "percent-encoded bytes").
// Not here: IDNA. A host with letters beyond ASCII is refused with an error that says so; its xn-- form is taken.
((core) => {
  "use strict";
  if ("URL" in globalThis) return;
  const { uncurry } = core.builtins;
  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const codePointAt = uncurry(String.prototype.codePointAt);
  const includes = uncurry(String.prototype.includes);
  const numberToString = uncurry(Number.prototype.toString);
  const slice = uncurry(String.prototype.slice);
  const split = uncurry(RegExp.prototype[Symbol.split]);
  const test = uncurry(RegExp.prototype.exec);
  const toLowerCase = uncurry(String.prototype.toLowerCase);
  const encodeUtf8 = encodeURIComponent;
  const NativeTextDecoder = TextDecoder;
  const decodeUtf8 = uncurry(TextDecoder.prototype.decode);
  const NativeUint8Array = Uint8Array;
  const parseDigits = parseInt;

  // What is encoded besides control characters, DEL and everything beyond ASCII.
  const FRAGMENT = ' "<>`';
  const QUERY = ' "#<>';
  const SPECIAL_QUERY = QUERY + "'";
  const PATH = QUERY + "?^`{}";
  const USERINFO = PATH + "/:;=@[\\]|";
  const FORM = USERINFO + "$%&+,!'()~";

  const HEX = "0123456789ABCDEF";
  const encodePoint = (point, set) => {
    if (point > "~" || point < " " || includes(set, point)) {
      const code = charCodeAt(point, 0);
      return code < 0x80 ? "%" + HEX[code >> 4] + HEX[code & 15] : encodeUtf8(point);
    }
    return point;
  };

  /** Well-formed text as a list of its characters; a pair of surrogates is one. */
  const pointsOf = (text) => {
    const points = [];
    for (let i = 0; i < text.length; i++) {
      const size = codePointAt(text, i) > 0xffff ? 2 : 1;
      points[points.length] = size === 1 ? text[i] : text[i] + text[++i];
    }
    return points;
  };

  const encode = (text, set) => {
    const points = pointsOf(text);
    let result = "";
    for (let i = 0; i < points.length; i++) result += encodePoint(points[i], set);
    return result;
  };

  const isHexPair = (text, at) => test(/^[0-9A-Fa-f]{2}/, slice(text, at, at + 2)) !== null;

  /** Percent-decodes ASCII-or-more text and reads the bytes as UTF-8. */
  const decode = (text) => {
    if (!includes(text, "%")) return text;
    const source = pointsOf(text);
    const bytes = new NativeUint8Array(text.length * 4);
    let size = 0;
    for (let i = 0, at = 0; i < source.length; at += source[i].length, i++) {
      const point = source[i];
      if (point === "%" && isHexPair(text, at + 1)) {
        bytes[size++] = parseDigits(slice(text, at + 1, at + 3), 16);
        i += 2;
        at += 2;
      } else if (point > "\x7f") {
        const encoded = encodeUtf8(point);
        for (let j = 1; j < encoded.length; j += 3) bytes[size++] = parseDigits(slice(encoded, j, j + 2), 16);
      } else bytes[size++] = charCodeAt(point, 0);
    }
    // Ours, not the script's: a decoder that keeps a BOM and replaces what is not UTF-8.
    return decodeUtf8(new NativeTextDecoder("utf-8", { ignoreBOM: true }), new NativeUint8Array(bytes.buffer, 0, size));
  };

  const fail = (reason) => {
    throw new TypeError(reason);
  };

  const parseIPv4Number = (part) => {
    let base = 10;
    let digits = part;
    if (test(/^0[xX]/, digits)) {
      digits = slice(digits, 2);
      base = 16;
    } else if (digits.length > 1 && digits[0] === "0") {
      digits = slice(digits, 1);
      base = 8;
    }
    if (part === "" || test(base === 16 ? /[^0-9a-fA-F]/ : base === 8 ? /[^0-7]/ : /[^0-9]/, digits)) return NaN;
    return digits === "" ? 0 : parseDigits(digits, base);
  };

  const parseIPv4 = (host) => {
    const parts = split(/\./, host);
    if (parts[parts.length - 1] === "" && parts.length > 1) parts.length--;
    if (parts.length > 4) fail("an IPv4 address has at most four numbers");
    let address = 0;
    for (let i = 0; i < parts.length; i++) {
      const number = parseIPv4Number(parts[i]);
      const isLast = i === parts.length - 1;
      if (!(number < (isLast ? 256 ** (5 - parts.length) : 256))) fail(`"${parts[i]}" in the IPv4 address is out of range`);
      address += isLast ? number : number * 256 ** (3 - i);
    }
    let text = "";
    for (let i = 3; i >= 0; i--) text += ((address / 256 ** i) & 255) + (i > 0 ? "." : "");
    return text;
  };

  const endsInNumber = (host) => {
    const parts = split(/\./, host);
    if (parts[parts.length - 1] === "") {
      if (parts.length === 1) return false;
      parts.length--;
    }
    const last = parts[parts.length - 1];
    return test(/^(?:[0-9]+|0[xX][0-9A-Fa-f]*)$/, last) !== null;
  };

  /** The eight numbers of an IPv6 address. */
  const parseIPv6 = (text) => {
    const bad = () => fail(`"${text}" is not an IPv6 address`);
    const pieces = [0, 0, 0, 0, 0, 0, 0, 0];
    let index = 0;
    let compress = -1;
    let at = 0;
    if (text[0] === ":") {
      if (text[1] !== ":") bad();
      at = 2;
      compress = ++index;
    }
    while (at < text.length) {
      if (index === 8) bad();
      if (text[at] === ":") {
        if (compress >= 0) bad();
        at++;
        compress = ++index;
        continue;
      }
      const digits = test(/^[0-9A-Fa-f]{0,4}/, slice(text, at, at + 4))[0];
      at += digits.length;
      if (text[at] === ".") {
        const quad = test(/^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/, slice(text, at - digits.length));
        if (digits.length === 0 || index > 6 || quad === null) bad();
        for (let i = 1; i <= 4; i++) {
          if (quad[i] > 255 || (quad[i].length > 1 && quad[i][0] === "0")) bad();
        }
        pieces[index++] = quad[1] * 256 + +quad[2];
        pieces[index++] = quad[3] * 256 + +quad[4];
        break;
      }
      if (text[at] === ":") {
        if (++at === text.length) bad();
      } else if (at < text.length) bad();
      pieces[index++] = parseDigits(digits, 16);
    }
    if (compress >= 0) {
      // The numbers after "::" move to the end.
      for (let from = index - 1, to = 7; from >= compress && to !== from; from--, to--) {
        pieces[to] = pieces[from];
        pieces[from] = 0;
      }
    } else if (index !== 8) bad();
    return pieces;
  };

  const serializeIPv6 = (pieces) => {
    let start = -1; // the longest run of two or more zeros becomes "::"
    let longest = 1;
    for (let i = 0; i < 8; i++) {
      let end = i;
      while (end < 8 && pieces[end] === 0) end++;
      if (end - i > longest) {
        start = i;
        longest = end - i;
      }
      if (end > i) i = end; // and the number there is not zero
    }
    let text = "";
    for (let i = 0; i < 8; i++) {
      if (i === start) {
        text += i === 0 ? "::" : ":";
        i += longest - 1;
      } else text += numberToString(pieces[i], 16) + (i < 7 ? ":" : "");
    }
    return text;
  };

  /** The host as it stands in a URL. `isOpaque`: the scheme is not a special one, so nothing is known of its hosts. */
  const parseHost = (input, isOpaque) => {
    if (input[0] === "[") {
      if (input[input.length - 1] !== "]") fail("the IPv6 address has no closing bracket");
      return `[${serializeIPv6(parseIPv6(slice(input, 1, -1)))}]`;
    }
    if (isOpaque) {
      if (test(/[\0\t\n\r #/:<>?@[\\\]^|]/, input)) fail(`the host "${input}" has a character that hosts cannot have`);
      return encode(input, "");
    }
    const domain = decode(input);
    if (test(/[^\0-\x7f]/, domain)) {
      fail(`the host "${domain}" has letters beyond ASCII, which are not supported here: write its xn-- form`);
    }
    const host = toLowerCase(domain);
    if (host === "") fail("the host is empty");
    if (test(/[\0-\x20#%/:<>?@[\\\]^|\x7f]/, host)) {
      fail(`the host "${host}" has a character that hosts cannot have`);
    }
    return endsInNumber(host) ? parseIPv4(host) : host;
  };

  core.builtins.url = {
    __proto__: null, FORM, FRAGMENT, PATH, QUERY, SPECIAL_QUERY, USERINFO,
    decode, encode, encodePoint, fail, parseHost, pointsOf,
  };
})(globalThis.__pawl);
