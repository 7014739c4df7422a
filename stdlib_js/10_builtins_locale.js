// toLocaleString and its relatives, localeCompare, and a small Intl: one locale, en-US, one time zone, UTC, on every
// engine and every machine (S11). Neither engine has Intl, and what they print instead differs between them. A locale
// argument is accepted and changes nothing.
((core) => {
  "use strict";
  const { uncurry } = core.builtins;
  const { define } = core;
  const getOwnNames = Object.getOwnPropertyNames;
  const { floor } = Math;
  const NativeDate = Date;
  const toNumber = Number;
  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const indexOf = uncurry(String.prototype.indexOf);
  const normalize = uncurry(String.prototype.normalize);
  const repeat = uncurry(String.prototype.repeat);
  const replace = uncurry(RegExp.prototype[Symbol.replace]);
  const slice = uncurry(String.prototype.slice);
  const toLowerCase = uncurry(String.prototype.toLowerCase);
  const toUpperCase = uncurry(String.prototype.toUpperCase);
  const exec = uncurry(RegExp.prototype.exec);
  const toPrecision = uncurry(Number.prototype.toPrecision);
  const numberValue = uncurry(Number.prototype.valueOf);
  const bigintValue = uncurry(BigInt.prototype.valueOf);
  const { fromCharCode } = String;
  const getTime = uncurry(Date.prototype.getTime);

  // ---- numbers

  /** The decimal digits of a finite number that is not negative, without an exponent: "1e-7" is "0.0000001". */
  const plainDecimal = (number) => {
    const [, whole, fraction = "", exponent = "0"] = exec(/^(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/, `${number}`);
    const digits = whole + fraction;
    const point = whole.length + +exponent;
    if (point <= 0) return { whole: "0", fraction: repeat("0", -point) + digits };
    if (point >= digits.length) return { whole: digits + repeat("0", point - digits.length), fraction: "" };
    return { whole: slice(digits, 0, point), fraction: slice(digits, point) };
  };

  /** Adds one to the last digit of a text of digits. */
  const increment = (digits) => {
    let i = digits.length - 1;
    while (i >= 0 && digits[i] === "9") i--;
    const zeros = repeat("0", digits.length - 1 - i);
    return i < 0 ? "1" + zeros : slice(digits, 0, i) + (+digits[i] + 1) + zeros;
  };

  /** Rounds half away from zero, on the digits that people see: 1.005 is 1.01, as Intl has it. */
  const roundDecimal = ({ whole, fraction }, least, most) => {
    if (fraction.length > most) {
      let digits = whole + slice(fraction, 0, most);
      if (fraction[most] >= "5") digits = increment(digits);
      whole = slice(digits, 0, digits.length - most);
      fraction = slice(digits, digits.length - most);
    }
    while (fraction.length > least && fraction[fraction.length - 1] === "0") fraction = slice(fraction, 0, -1);
    return { whole, fraction: fraction + repeat("0", least > fraction.length ? least - fraction.length : 0) };
  };

  const group = (digits) => replace(/\B(?=(?:\d{3})+$)/g, digits, ",");

  const SYMBOLS = {
    __proto__: null, USD: "$", EUR: "€", GBP: "£", JPY: "¥", INR: "₹", CNY: "CN¥", KRW: "₩", BRL: "R$", CAD: "CA$", AUD: "A$",
    MXN: "MX$", NZD: "NZ$", ILS: "₪", VND: "₫", TWD: "NT$", HKD: "HK$", PHP: "₱",
  };
  const digitsOption = (options, name, least, most, fallback) => {
    const given = options[name];
    if (given === undefined) return fallback;
    const number = floor(+given);
    if (!(number >= least && number <= most)) throw new RangeError(`${name} value is out of range.`);
    return number;
  };

  const COMPACT = ["", "K", "M", "B", "T"];

  const formatNumber = (value, options = {}) => {
    const isBig = typeof value === "bigint";
    const isNegative = isBig ? value < 0n : value < 0 || (value === 0 && 1 / value < 0);
    const style = options.style ?? "decimal";
    const currency = toUpperCase(`${options.currency ?? ""}`);
    if (style === "currency" && currency === "") throw new TypeError("Currency code is required with currency style.");
    const usual = style === "currency" ? (currency === "JPY" || currency === "KRW" || currency === "VND" ? 0 : 2) : 0;
    const usualMost = style === "currency" ? usual : style === "percent" ? 0 : 3;
    let least = digitsOption(options, "minimumFractionDigits", 0, 100, undefined);
    let most = digitsOption(options, "maximumFractionDigits", 0, 100, undefined);
    if (least > most) throw new RangeError("maximumFractionDigits value is out of range.");
    least ??= most < usual ? most : usual;
    most ??= least > usualMost ? least : usualMost;
    let body;
    let suffix = style === "percent" ? "%" : "";
    if (!isBig && value !== value) body = "NaN";
    else if (!isBig && (value === Infinity || value === -Infinity)) body = "∞";
    else {
      let decimal = isBig ? { whole: replace(/^-/, `${value}`, ""), fraction: "" } : plainDecimal(value < 0 ? -value : value);
      if (style === "percent") decimal = shift(decimal, 2);
      if (options.notation === "compact") {
        let tier = floor((decimal.whole.length - 1) / 3);
        tier = tier > 4 ? 4 : tier;
        const scale = (t) => {
          const shifted = shift(decimal, -3 * t);
          if (shifted.whole !== "0") return roundDecimal(shifted, 0, shifted.whole.length > 1 ? 0 : 1);
          return roundDecimal(shifted, 0, exec(/^0*/, shifted.fraction)[0].length + 2); // two significant digits
        };
        let scaled = scale(tier);
        if (scaled.whole.length > 3 && tier < 4) scaled = scale(++tier);
        decimal = scaled;
        suffix = COMPACT[tier] + suffix;
      } else if (options.maximumSignificantDigits !== undefined) {
        const digits = digitsOption(options, "maximumSignificantDigits", 1, 21);
        decimal = roundDecimal(plainDecimal(toNumber(toPrecision(toNumber(`${decimal.whole}.${decimal.fraction}`), digits))), 0, 400);
      } else decimal = roundDecimal(decimal, least, most);
      const padding = digitsOption(options, "minimumIntegerDigits", 1, 21, 1) - decimal.whole.length;
      const whole = repeat("0", padding > 0 ? padding : 0) + decimal.whole;
      body = (options.useGrouping === false ? whole : group(whole)) + (decimal.fraction === "" ? "" : "." + decimal.fraction);
    }
    if (style === "currency") body = (SYMBOLS[currency] ?? currency + "\u00a0") + body;
    return (isNegative ? "-" : "") + body + suffix;
  };

  /** Moves the decimal point by `places`. */
  const shift = ({ whole, fraction }, places) => {
    const digits = whole + fraction;
    const point = whole.length + places;
    const padded = point <= 0 ? repeat("0", 1 - point) + digits : digits + repeat("0", point > digits.length ? point - digits.length : 0);
    const at = point <= 0 ? 1 : point;
    return { whole: replace(/^0+(?=\d)/, slice(padded, 0, at), ""), fraction: slice(padded, at) };
  };

  // ---- dates

  const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
  const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December"];
  const { getUTCDay, getUTCMonth, getUTCDate, getUTCFullYear, getUTCHours, getUTCMinutes, getUTCSeconds, getUTCMilliseconds } =
    Date.prototype;
  const fields = { __proto__: null };
  for (const [name, getter] of [["day", getUTCDate], ["month", getUTCMonth], ["year", getUTCFullYear], ["weekday", getUTCDay],
    ["hour", getUTCHours], ["minute", getUTCMinutes], ["second", getUTCSeconds], ["fraction", getUTCMilliseconds]]) {
    fields[name] = uncurry(getter);
  }
  const two = (number) => (number < 10 ? "0" : "") + number;
  const sized = (number, style) => (style === "2-digit" ? two(number % 100) : `${number}`);
  const named = (names, index, style) => (style === "long" ? names[index] : slice(names[index], 0, style === "narrow" ? 1 : 3));

  const DATE_STYLES = {
    __proto__: null,
    full: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
    long: { year: "numeric", month: "long", day: "numeric" },
    medium: { year: "numeric", month: "short", day: "numeric" },
    short: { year: "2-digit", month: "numeric", day: "numeric" },
  };
  const TIME = { hour: "numeric", minute: "2-digit", second: "2-digit" };
  const TIME_STYLES = {
    __proto__: null,
    full: { ...TIME, timeZoneName: "long" },
    long: { ...TIME, timeZoneName: "short" },
    medium: TIME,
    short: { hour: "numeric", minute: "2-digit" },
  };

  const formatDay = (date, { weekday, year, month, day }) => {
    const y = year && sized(fields.year(date), year);
    const d = day && sized(fields.day(date), day);
    const w = weekday && named(WEEKDAYS, fields.weekday(date), weekday);
    const monthIndex = fields.month(date);
    let text = "";
    if (month === "long" || month === "short" || month === "narrow") {
      text = named(MONTHS, monthIndex, month) + (d ? ` ${d}` : "");
      if (y) text += (d ? ", " : " ") + y;
    } else {
      const m = month && sized(monthIndex + 1, month);
      if (w && d && !m && !y) return `${d} ${w}`;
      for (const part of [m, d, y]) if (part) text += (text ? "/" : "") + part;
    }
    return w ? w + (text ? ", " + text : "") : text;
  };

  const formatClock = (date, options) => {
    const { hour, minute, second, fractionalSecondDigits: digits } = options;
    const h = fields.hour(date);
    const is12 = options.hour12 ?? !(options.hourCycle === "h23" || options.hourCycle === "h24");
    let text = "";
    if (hour) text = is12 ? (hour === "2-digit" ? two(h % 12 || 12) : `${h % 12 || 12}`) : two(h);
    if (minute) text += text ? ":" + two(fields.minute(date)) : second ? two(fields.minute(date)) : `${fields.minute(date)}`;
    if (second) text += text ? ":" + two(fields.second(date)) : sized(fields.second(date), second);
    if (digits) text += "." + slice(`${1000 + fields.fraction(date)}`, 1, 1 + digits);
    if (hour && is12) text += h < 12 ? " AM" : " PM";
    return text;
  };

  const checkTimeZone = (zone) => {
    if (zone === undefined) return;
    const name = toUpperCase(`${zone}`);
    if (name === "UTC" || name === "GMT" || name === "ETC/UTC" || name === "ETC/GMT") return;
    throw new RangeError(`The time zone "${zone}" is not available: workflows have one, UTC`);
  };

  const DAY_FIELDS = ["weekday", "year", "month", "day"];
  const CLOCK_FIELDS = ["hour", "minute", "second", "fractionalSecondDigits"];
  const hasOneOf = (options, names) => {
    for (let i = 0; i < names.length; i++) if (options[names[i]] !== undefined) return true;
    return false;
  };

  /** `usual`: what is shown when the options name no field: "date", "time" or "both". */
  const formatDate = (date, given, usual) => {
    const time = getTime(date);
    if (time !== time) return "Invalid Date";
    const options = { ...given };
    checkTimeZone(options.timeZone);
    const { dateStyle, timeStyle } = options;
    if (dateStyle || timeStyle) {
      const day = dateStyle ? formatDay(date, DATE_STYLES[dateStyle] ?? DATE_STYLES.medium) : "";
      const style = TIME_STYLES[timeStyle] ?? TIME_STYLES.medium;
      const clock = timeStyle ? formatClock(date, { ...style, hour12: options.hour12 }) + zoneName(style) : "";
      return day && clock ? day + (dateStyle === "full" || dateStyle === "long" ? " at " : ", ") + clock : day + clock;
    }
    const isAsked = usual === "date" ? hasOneOf(options, DAY_FIELDS) : usual === "time" ? hasOneOf(options, CLOCK_FIELDS)
      : hasOneOf(options, DAY_FIELDS) || hasOneOf(options, CLOCK_FIELDS);
    if (!isAsked && usual !== "time") options.year = options.month = options.day = "numeric";
    if (!isAsked && usual !== "date") options.hour = options.minute = options.second = "numeric";
    const day = formatDay(date, options);
    const clock = formatClock(date, options);
    const isLong = options.month === "long" && options.day && clock;
    return day + (day && clock ? (isLong ? " at " : ", ") : "") + clock + zoneName(options);
  };
  const zoneName = ({ timeZoneName: style }) => (style ? (style === "long" ? " Coordinated Universal Time" : " UTC") : "");

  // ---- order of texts

  // What ICU's root collation has for ASCII, lightest first; letters after digits, everything else after letters.
  const WEIGHTS = "\t\n\v\f\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz";
  const LETTERS = { __proto__: null, ß: "ss", æ: "ae", œ: "oe", ø: "o", ł: "l", đ: "d", ð: "d", þ: "th", ı: "i" };
  const ASCII = /^[\0-\x7f]*$/;
  const MARKS = /[\u0300-\u036f]+/g;
  const plainOf = (text) => (exec(ASCII, text) ? text : replace(MARKS, normalize(text, "NFD"), ""));
  const expand = (text) => (exec(ASCII, text) ? text : replace(/[ßæœøłđðþı]/g, text, (letter) => LETTERS[letter]));
  const weightOf = (text, i) => {
    const at = indexOf(WEIGHTS, text[i]);
    return at >= 0 ? at + 1 : charCodeAt(text, i) < 32 ? 0 : 128 + charCodeAt(text, i);
  };
  // Accents, lightest first, as in the Unicode collation table: acute, grave, breve, circumflex, caron, ring, …
  const ACCENTS = "\u0301\u0300\u0306\u0302\u030c\u030a\u0308\u030b\u0303\u0307";
  const accentWeight = (mark) => {
    const at = indexOf(ACCENTS, mark);
    return at < 0 ? mark : fromCharCode(0x2f0 + at);
  };
  const accentsOf = (text) => replace(/[\u0300-\u036f]/g, normalize(toLowerCase(text), "NFD"), accentWeight);
  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

  const compareBases = (a, b, isNumeric) => {
    let i = 0;
    let j = 0;
    while (i < a.length && j < b.length) {
      if (isNumeric) {
        const first = exec(/^0*(\d+)/, slice(a, i));
        const second = first && exec(/^0*(\d+)/, slice(b, j));
        if (second) {
          const difference = order(first[1].length, second[1].length) || order(first[1], second[1]);
          if (difference) return difference;
          i += first[0].length;
          j += second[0].length;
          continue;
        }
      }
      const difference = order(weightOf(a, i), weightOf(b, j));
      if (difference) return difference;
      i++;
      j++;
    }
    return order(a.length - i, b.length - j);
  };

  /** Base letters first; then accents; then case, lower before upper: what people expect of a sorted list. */
  const compareTexts = (a, b, options = {}) => {
    if (a === b) return 0;
    const { sensitivity = "variant", numeric = false } = options;
    const [plainA, plainB] = [plainOf(a), plainOf(b)];
    const bases = compareBases(expand(toLowerCase(plainA)), expand(toLowerCase(plainB)), numeric);
    if (bases || sensitivity === "base") return bases;
    if (sensitivity !== "case") {
      const accents = order(accentsOf(a), accentsOf(b));
      if (accents || sensitivity === "accent") return accents;
    }
    for (let i = 0; i < plainA.length && i < plainB.length; i++) {
      if (plainA[i] !== plainB[i]) return plainA[i] === toLowerCase(plainA[i]) ? -1 : 1;
    }
    return 0;
  };

  // ---- what scripts see

  const toOptions = (options) => (options === undefined || options === null ? {} : options);
  const replaceMethods = (target, methods) => {
    for (const name of getOwnNames(methods)) define(target, name, methods[name]);
  };
  replaceMethods(Number.prototype, {
    toLocaleString(locales = undefined, options = undefined) {
      return formatNumber(numberValue(this), toOptions(options));
    },
  });
  replaceMethods(BigInt.prototype, {
    toLocaleString(locales = undefined, options = undefined) {
      return formatNumber(bigintValue(this), toOptions(options));
    },
  });
  replaceMethods(Date.prototype, {
    toLocaleString(locales = undefined, options = undefined) {
      return formatDate(this, options, "both");
    },
    toLocaleDateString(locales = undefined, options = undefined) {
      return formatDate(this, options, "date");
    },
    toLocaleTimeString(locales = undefined, options = undefined) {
      return formatDate(this, options, "time");
    },
  });
  replaceMethods(String.prototype, {
    localeCompare(that, locales = undefined, options = undefined) {
      if (this === undefined || this === null) throw new TypeError("localeCompare called on null or undefined");
      return compareTexts(`${this}`, `${that}`, toOptions(options));
    },
  });

  /** A class of Intl: its objects hold bound functions, as Intl's do. */
  const service = (name, make) => {
    const Service = function (locales = undefined, options = undefined) {
      const self = new.target === undefined ? new Service(locales, options) : this;
      const copy = { ...options };
      const members = make(copy);
      for (const key of getOwnNames(members)) define(self, key, members[key]);
      define(self, "resolvedOptions", () => ({ locale: "en-US", ...copy }));
      return self;
    };
    define(Service, "name", name);
    define(Service, "supportedLocalesOf", () => ["en-US"]);
    return Service;
  };
  const Intl = {};
  define(Intl, "NumberFormat", service("NumberFormat", (options) => ({
    format: (value) => formatNumber(typeof value === "bigint" ? value : +value, options),
  })));
  define(Intl, "DateTimeFormat", service("DateTimeFormat", (options) => {
    checkTimeZone(options.timeZone);
    options.timeZone = "UTC";
    const now = () => core.clock; // the logical clock of 20_determinism.js
    return { format: (date) => formatDate(new NativeDate(date === undefined ? now() : +date), options, "date") };
  }));
  define(Intl, "Collator", service("Collator", (options) => ({ compare: (a, b) => compareTexts(`${a}`, `${b}`, options) })));
  define(globalThis, "Intl", Intl);
})(globalThis.__pawl);
