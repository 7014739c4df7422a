// The URL parser of https://url.spec.whatwg.org/ ("basic URL parser"): one function a state, named as there.
((core) => {
  "use strict";
  if ("URL" in globalThis) return;
  const { toWellFormed, uncurry } = core.builtins;
  const { FRAGMENT, PATH, QUERY, SPECIAL_QUERY, USERINFO, encodePoint, fail, parseHost, pointsOf } = core.builtins.url;
  const replace = uncurry(RegExp.prototype[Symbol.replace]);
  const test = uncurry(RegExp.prototype.exec);
  const toLowerCase = uncurry(String.prototype.toLowerCase);

  const DEFAULT_PORTS = { __proto__: null, ftp: 21, file: null, http: 80, https: 443, ws: 80, wss: 443 };
  const isSpecial = (url) => url.scheme in DEFAULT_PORTS;
  const isLetter = (c) => (c >= "a" && c <= "z") || (c >= "A" && c <= "Z");
  const isDigit = (c) => c >= "0" && c <= "9" && c.length === 1;
  const isDrive = (text) => test(/^[A-Za-z][:|]$/, text) !== null;
  const isNormalizedDrive = (text) => test(/^[A-Za-z]:$/, text) !== null;
  const isSingleDot = (text) => test(/^(?:\.|%2e)$/i, text) !== null;
  const isDoubleDot = (text) => test(/^(?:\.|%2e){2}$/i, text) !== null;
  const EOF = undefined; // the character after the last
  const DONE = true; // what a state answers when a setter has what it wanted

  const copyPath = (path) => {
    const copy = [];
    for (let i = 0; i < path.length; i++) copy[i] = path[i];
    return copy;
  };

  const shortenPath = (url) => {
    const { path } = url;
    if (url.scheme === "file" && path.length === 1 && isNormalizedDrive(path[0])) return;
    if (path.length > 0) path.length--;
  };

  const startsWithDrive = (m) => {
    const [first, second, third] = [m.points[m.at], m.points[m.at + 1], m.points[m.at + 2]];
    return second !== EOF && isDrive(first + second) && (third === EOF || test(/^[/\\?#]$/, third) !== null);
  };

  const isAuthorityEnd = (m, c) => c === EOF || c === "/" || c === "?" || c === "#" || (c === "\\" && isSpecial(m.url));

  const takeAuthority = (url, base) => {
    url.username = base.username;
    url.password = base.password;
    url.host = base.host;
    url.port = base.port;
  };
  const takePath = (url, base) => {
    url.path = typeof base.path === "string" ? base.path : copyPath(base.path);
  };
  /** After a relative URL's own path: `c` begins a query or a fragment, or is the end. */
  const beginQueryOrFragment = (m, c) => {
    if (c === "?") {
      m.url.query = "";
      m.state = states.query;
    } else if (c === "#") {
      m.url.fragment = "";
      m.state = states.fragment;
    } else return false;
    return true;
  };

  const states = {
    __proto__: null,

    schemeStart(m, c) {
      if (c !== EOF && isLetter(c)) {
        m.buffer += toLowerCase(c);
        m.state = states.scheme;
      } else if (!m.override) {
        m.state = states.noScheme;
        m.at--;
      } else fail("a scheme begins with a letter");
    },

    scheme(m, c) {
      const { url } = m;
      if (c !== EOF && (isLetter(c) || isDigit(c) || c === "+" || c === "-" || c === ".")) {
        m.buffer += toLowerCase(c);
      } else if (c === ":") {
        if (m.override) {
          if (isSpecial(url) !== m.buffer in DEFAULT_PORTS) return DONE;
          if (m.buffer === "file" && (url.username !== "" || url.password !== "" || url.port !== null)) return DONE;
          if (url.scheme === "file" && url.host === "") return DONE;
          url.scheme = m.buffer;
          if (url.port === DEFAULT_PORTS[url.scheme]) url.port = null;
          return DONE;
        }
        url.scheme = m.buffer;
        m.buffer = "";
        if (url.scheme === "file") m.state = states.file;
        else if (isSpecial(url)) {
          m.state = m.base?.scheme === url.scheme ? states.specialRelativeOrAuthority : states.specialAuthoritySlashes;
        } else if (m.points[m.at + 1] === "/") {
          m.state = states.pathOrAuthority;
          m.at++;
        } else {
          url.path = "";
          m.state = states.opaquePath;
        }
      } else if (!m.override) {
        m.buffer = "";
        m.state = states.noScheme;
        m.at = -1;
      } else fail("the scheme has a character that schemes cannot have");
    },

    noScheme(m, c) {
      const { base, url } = m;
      if (!base) fail("it has no scheme, and no base is given");
      if (typeof base.path === "string") {
        if (c !== "#") fail("the base cannot have a relative URL");
        url.scheme = base.scheme;
        url.path = base.path;
        url.query = base.query;
        beginQueryOrFragment(m, c);
      } else {
        m.state = base.scheme === "file" ? states.file : states.relative;
        m.at--;
      }
    },

    specialRelativeOrAuthority(m, c) {
      if (c === "/" && m.points[m.at + 1] === "/") {
        m.state = states.specialAuthorityIgnoreSlashes;
        m.at++;
      } else {
        m.state = states.relative;
        m.at--;
      }
    },

    pathOrAuthority(m, c) {
      if (c === "/") m.state = states.authority;
      else {
        m.state = states.path;
        m.at--;
      }
    },

    relative(m, c) {
      const { base, url } = m;
      url.scheme = base.scheme;
      if (c === "/" || (c === "\\" && isSpecial(url))) {
        m.state = states.relativeSlash;
        return;
      }
      takeAuthority(url, base);
      takePath(url, base);
      url.query = base.query;
      if (beginQueryOrFragment(m, c) || c === EOF) return;
      url.query = null;
      shortenPath(url);
      m.state = states.path;
      m.at--;
    },

    relativeSlash(m, c) {
      if (isSpecial(m.url) && (c === "/" || c === "\\")) m.state = states.specialAuthorityIgnoreSlashes;
      else if (c === "/") m.state = states.authority;
      else {
        takeAuthority(m.url, m.base);
        m.state = states.path;
        m.at--;
      }
    },

    specialAuthoritySlashes(m, c) {
      if (c === "/" && m.points[m.at + 1] === "/") m.at++;
      else m.at--;
      m.state = states.specialAuthorityIgnoreSlashes;
    },

    specialAuthorityIgnoreSlashes(m, c) {
      if (c === "/" || c === "\\") return;
      m.state = states.authority;
      m.at--;
    },

    authority(m, c) {
      const { url } = m;
      if (c === "@") {
        if (m.isAtSeen) m.buffer = "%40" + m.buffer;
        m.isAtSeen = true;
        const points = pointsOf(m.buffer);
        for (let i = 0; i < points.length; i++) {
          if (points[i] === ":" && !m.isPasswordSeen) m.isPasswordSeen = true;
          else if (m.isPasswordSeen) url.password += encodePoint(points[i], USERINFO);
          else url.username += encodePoint(points[i], USERINFO);
        }
        m.buffer = "";
      } else if (isAuthorityEnd(m, c)) {
        if (m.isAtSeen && m.buffer === "") fail("there is no host after the user name");
        m.at -= pointsOf(m.buffer).length + 1;
        m.buffer = "";
        m.state = states.host;
      } else m.buffer += c;
    },

    host(m, c) {
      const { url } = m;
      if (m.override && url.scheme === "file") {
        m.at--;
        m.state = states.fileHost;
      } else if (c === ":" && !m.isInBrackets) {
        if (m.buffer === "") fail("there is no host before the port");
        if (m.override === "hostname") fail("a host name has no port");
        url.host = parseHost(m.buffer, !isSpecial(url));
        m.buffer = "";
        m.state = states.port;
      } else if (isAuthorityEnd(m, c)) {
        m.at--;
        if (isSpecial(url) && m.buffer === "") fail("the host is empty");
        if (m.override && m.buffer === "" && (url.username !== "" || url.password !== "" || url.port !== null)) {
          fail("the host is empty, but there is a user name or a port");
        }
        url.host = m.buffer === "" ? "" : parseHost(m.buffer, !isSpecial(url));
        m.buffer = "";
        m.state = states.pathStart;
        if (m.override) return DONE;
      } else {
        if (c === "[") m.isInBrackets = true;
        if (c === "]") m.isInBrackets = false;
        m.buffer += c;
      }
    },

    port(m, c) {
      const { url } = m;
      if (c !== EOF && isDigit(c)) m.buffer += c;
      else if (isAuthorityEnd(m, c) || m.override) {
        if (m.buffer !== "") {
          const port = +m.buffer;
          if (port > 65535) fail(`the port ${m.buffer} is out of range`);
          url.port = port === DEFAULT_PORTS[url.scheme] ? null : port;
          m.buffer = "";
          if (m.override) return DONE;
        }
        if (m.override) fail("a port has digits only");
        m.state = states.pathStart;
        m.at--;
      } else fail("a port has digits only");
    },

    file(m, c) {
      const { base, url } = m;
      url.scheme = "file";
      url.host = "";
      if (c === "/" || c === "\\") m.state = states.fileSlash;
      else if (base?.scheme === "file") {
        url.host = base.host;
        takePath(url, base);
        url.query = base.query;
        if (beginQueryOrFragment(m, c) || c === EOF) return;
        url.query = null;
        if (startsWithDrive(m)) url.path = [];
        else shortenPath(url);
        m.state = states.path;
        m.at--;
      } else {
        m.state = states.path;
        m.at--;
      }
    },

    fileSlash(m, c) {
      const { base, url } = m;
      if (c === "/" || c === "\\") {
        m.state = states.fileHost;
        return;
      }
      if (base?.scheme === "file") {
        url.host = base.host;
        if (!startsWithDrive(m) && base.path.length > 0 && isNormalizedDrive(base.path[0])) url.path[0] = base.path[0];
      }
      m.state = states.path;
      m.at--;
    },

    fileHost(m, c) {
      const { url } = m;
      if (c !== EOF && c !== "/" && c !== "\\" && c !== "?" && c !== "#") {
        m.buffer += c;
        return;
      }
      m.at--;
      if (!m.override && isDrive(m.buffer)) {
        m.state = states.path; // the buffer is the path's first part
        return;
      }
      const host = m.buffer === "" ? "" : parseHost(m.buffer, !isSpecial(url));
      url.host = host === "localhost" ? "" : host;
      m.buffer = "";
      m.state = states.pathStart;
      if (m.override) return DONE;
    },

    pathStart(m, c) {
      if (isSpecial(m.url)) {
        m.state = states.path;
        if (c !== "/" && c !== "\\") m.at--;
      } else if (!m.override && beginQueryOrFragment(m, c)) return;
      else if (c !== EOF) {
        m.state = states.path;
        if (c !== "/") m.at--;
      } else if (m.override && m.url.host === null) m.url.path[m.url.path.length] = "";
    },

    path(m, c) {
      const { url } = m;
      const isSlash = c === "/" || (c === "\\" && isSpecial(url));
      if (c !== EOF && !isSlash && (m.override || (c !== "?" && c !== "#"))) {
        m.buffer += encodePoint(c, PATH);
        return;
      }
      if (isDoubleDot(m.buffer)) {
        shortenPath(url);
        if (!isSlash) url.path[url.path.length] = "";
      } else if (isSingleDot(m.buffer)) {
        if (!isSlash) url.path[url.path.length] = "";
      } else {
        if (url.scheme === "file" && url.path.length === 0 && isDrive(m.buffer)) m.buffer = m.buffer[0] + ":";
        url.path[url.path.length] = m.buffer;
      }
      m.buffer = "";
      beginQueryOrFragment(m, c);
    },

    opaquePath(m, c) {
      if (beginQueryOrFragment(m, c) || c === EOF) return;
      const next = m.points[m.at + 1];
      // A space before the query or the fragment would be lost when the URL is parsed again.
      if (c === " ") m.url.path += next === "?" || next === "#" ? "%20" : " ";
      else m.url.path += encodePoint(c, "");
    },

    query(m, c) {
      if (c === "#" && !m.override) beginQueryOrFragment(m, c);
      else if (c !== EOF) m.url.query += encodePoint(c, isSpecial(m.url) ? SPECIAL_QUERY : QUERY);
    },

    fragment(m, c) {
      if (c !== EOF) m.url.fragment += encodePoint(c, FRAGMENT);
    },
  };

  const newRecord = () => ({
    __proto__: null,
    scheme: "",
    username: "",
    password: "",
    host: null,
    port: null,
    path: [], // or text, when the path is opaque
    query: null,
    fragment: null,
  });

  /**
   * Parses `input` into a new record, or, with `override` (a setter's name) and its first state, into `url`.
   * Throws a TypeError with the bare reason when that fails.
   */
  const parse = (input, base, url, override, state) => {
    let text = toWellFormed(input);
    if (!url) text = replace(/^[\0-\x20]+|[\0-\x20]+$/g, text, "");
    const m = {
      __proto__: null,
      url: url ?? newRecord(),
      base,
      override,
      points: pointsOf(replace(/[\t\n\r]+/g, text, "")),
      at: 0,
      buffer: "",
      state: states[state ?? "schemeStart"],
      isAtSeen: false,
      isPasswordSeen: false,
      isInBrackets: false,
    };
    for (; m.at <= m.points.length; m.at++) {
      const { state } = m;
      if (state(m, m.points[m.at]) === DONE) break;
    }
    return m.url;
  };

  const serializePath = ({ path }) => {
    if (typeof path === "string") return path;
    let text = "";
    for (let i = 0; i < path.length; i++) text += "/" + path[i];
    return text;
  };

  const serialize = (url) => {
    let text = url.scheme + ":";
    if (url.host !== null) {
      text += "//";
      if (url.username !== "" || url.password !== "") {
        text += url.username + (url.password === "" ? "" : ":" + url.password) + "@";
      }
      text += url.host + (url.port === null ? "" : ":" + url.port);
    } else if (typeof url.path !== "string" && url.path.length > 1 && url.path[0] === "") text += "/.";
    text += serializePath(url);
    if (url.query !== null) text += "?" + url.query;
    return url.fragment === null ? text : text + "#" + url.fragment;
  };

  const { url } = core.builtins;
  url.isSpecial = isSpecial;
  url.parse = parse;
  url.serialize = serialize;
  url.serializePath = serializePath;
})(globalThis.__pawl);
