// mapReduce(items, map, reduce, options?): many made into one, a group at a time (S72).
((pawl) => {
  "use strict";
  const { brief, define, describe, invalid, isArray, isGiven, kept, log, makeArray, needCount, optionsOf, part, pipeline } = pawl;

  const { ceil } = Math;
  const KNOWN = { __proto__: null, fan: true };

  // The values that `f` makes of `list`, without nulls. What is lost is logged; an error that hits all is thrown.
  const valuesOf = async (list, f, what) => {
    const slots = await pipeline(list, (item, _, index) => f(item, index), { settle: true });
    let failed = 0;
    for (let i = 0; i < slots.length; i++) {
      if (slots[i].ok && isGiven(slots[i].value)) continue;
      const d = slots[i].ok ? null : describe(slots[i].error);
      if (d !== null) failed++;
      log("mapReduce(): " + what(i) + (d === null ? " gave no answer" : " failed: " + (d.name ? d.name + ": " : "") + d.message) + "; it is dropped");
    }
    if (failed > 0 && failed === slots.length) throw slots[0].error;
    const given = kept(slots, (slot) => slot.ok && isGiven(slot.value));
    return makeArray(given.length, (i) => given[i].value);
  };

  const mapReduce = async function mapReduce(items, map, reduce, given) {
    if (!isArray(items)) throw invalid("mapReduce() needs an array first: mapReduce(files, (file) => …, (parts) => …), not " + brief(items));
    if (typeof map !== "function") throw invalid("mapReduce() needs a function second: (item, index) => …, not " + brief(map));
    if (typeof reduce !== "function") throw invalid("mapReduce() needs a function third: (values, depth) => …, not " + brief(reduce));
    const { fan = 8 } = optionsOf("mapReduce", given, KNOWN);
    needCount("mapReduce", "fan", fan, 2, 4096);

    let values = await valuesOf(items, map, (i) => "item " + i);
    // The first level reduces also a group of one, so that what comes out is always something that `reduce` made.
    for (let depth = 1; values.length > 1 || (values.length === 1 && depth === 1); depth++) {
      const groups = makeArray(ceil(values.length / fan), (i) => part(values, i * fan, i * fan + fan));
      const one = (group) => (group.length === 1 && depth > 1 ? group[0] : reduce(group, depth));
      values = await valuesOf(groups, one, (i) => "group " + i + " of " + groups[i].length + " values at depth " + depth);
    }
    if (values.length === 0) log("mapReduce(): nothing is left to return; the result is null");
    return values.length === 0 ? null : values[0];
  };
  define(globalThis, "mapReduce", mapReduce);
})(globalThis.__pawl.patterns);
