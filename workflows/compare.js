// Decides between options so that the decision can be read. Every option is scored for every criterion by an agent of its own;
// then they meet in pairs, and each pair is judged twice, with the sides swapped, because judges favour what stands first. Means,
// ranks and ties are for code: the same answers always give the same winner, and a match that nobody judged is told as such.

export const meta = {
  name: 'compare',
  description: 'Compare options by criteria: a table of scores, a tournament judged from both sides, and the reasons.',
  whenToUse: 'Before a choice that is hard to take back, among two to sixteen options.',
  phases: [
    { title: 'Score', detail: 'each option for each criterion' },
    { title: 'Match', detail: 'options in pairs, the best against the worst first, each pair from both sides' },
  ],
  args: {
    type: 'object',
    required: ['options', 'criteria'],
    additionalProperties: false,
    properties: {
      question: { type: 'string', minLength: 1, description: 'what the choice is about, and for whom' },
      options: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 2, maxItems: 16, description: '"name: what it is"' },
      criteria: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, maxItems: 12, description: '"name: what is good"' },
      weights: {
        type: 'object',
        additionalProperties: { type: 'number', exclusiveMinimum: 0 },
        description: 'of criteria, by name; 1 where none is given',
      },
      hint: { type: 'string', minLength: 1, description: 'facts that judges should know' },
    },
  },
  limits: { agents: 400 },
}

const { options, criteria, weights = {}, question = 'Which is the best?', hint } = args
for (const list of [options, criteria]) {
  if (new Set(list.map(nameOf)).size < list.length) throw new Error(`two of these have the same name: ${list.map(nameOf).join(', ')}`)
}
const strange = Object.keys(weights).filter(name => !criteria.map(nameOf).includes(name))
if (strange.length > 0) throw new Error(`weights for what is no criterion: ${strange.join(', ')}`)

const SCORE = {
  type: 'object',
  required: ['reason', 'score'],
  properties: {
    reason: { type: 'string', minLength: 1, maxLength: 500, description: 'what speaks for it and what against it' },
    score: { type: 'integer', minimum: 0, maximum: 10, description: '0: rules it out, 10: nothing better can be wished for' },
  },
}

const CHOICE = {
  type: 'object',
  required: ['reason', 'better'],
  properties: { reason: { type: 'string', minLength: 1, maxLength: 500 }, better: { enum: ['first', 'second'] } },
}

phase('Score')
const cells = options.flatMap(option => criteria.map(criterion => ({ option, criterion })))
const scored = await pipeline(cells, score)
const table = options.map((option, i) => rowOf(option, i))
const gaps = table.flatMap(({ option, scores }) => scores.filter(({ score }) => score === null).map(({ criterion }) => `${option} has no score for ${criterion}`))

phase('Match')
const seeded = seed(table.toSorted(byScore))
const { winner, matches } = await tournament(seeded, { compare: match })
const played = matches.map(({ round, left, right, winner, reason }) => ({
  round,
  left: seeded[left].option,
  right: seeded[right].option,
  winner: seeded[winner].option,
  reason: reason ?? 'nobody decided it',
}))
const openMatches = matches.filter(({ reason }) => reason === null).length
if (openMatches > 0) gaps.push(`${openMatches} of ${matches.length} matches were decided by nobody`)
for (const gap of gaps) log(`missing: ${gap}`)

const wins = option => played.filter(({ winner, reason }) => winner === option && reason !== 'nobody decided it').length
const ranking = table
  .toSorted((a, b) => Number(b.option === winner.option) - Number(a.option === winner.option) || wins(b.option) - wins(a.option) || byScore(a, b))
  .map(({ option, score, place }) => ({ option, score, wins: wins(option), place }))
const best = table.toSorted(byScore)[0]
const isAgreed = table.every(({ score }) => score !== null) && best.option === winner.option
const isDecided = openMatches === 0
log(isDecided ? `${winner.option} wins${isAgreed ? ', and has the best scores' : ', not by its scores alone'}` : 'not decided: nobody judged some matches')

return {
  winner: isDecided ? winner.option : null,
  agreed: isDecided && isAgreed,
  complete: gaps.length === 0,
  ranking: ranking.map(({ option, score, wins }) => ({ option, score, wins })),
  table: table.map(({ option, score, scores }) => ({ option, score, scores })),
  matches: played,
  gaps,
}

// ---- Scores

function score({ option, criterion }) {
  return agent(
    `${question}\n\nOne of the options:\n\n${option}\n\nScore it for one thing only: ${criterion}. First the reasons, then the score.${tip()}`,
    { label: `${nameOf(option)}: ${nameOf(criterion)}`, schema: SCORE },
  )
}

/** An option with its scores; its mean counts what was scored, and is null when not all was: half a mean compares nothing. */
function rowOf(option, i) {
  const scores = criteria.map((criterion, j) => {
    const { score, reason } = scored[i * criteria.length + j] ?? { score: null, reason: null }
    return { criterion: nameOf(criterion), score, reason }
  })
  const weightOf = ({ criterion }) => weights[criterion] ?? 1
  const isWhole = scores.every(({ score }) => score !== null)
  const sum = scores.reduce((sum, cell) => sum + weightOf(cell) * cell.score, 0)
  const mean = sum / scores.reduce((sum, cell) => sum + weightOf(cell), 0)
  return { option: nameOf(option), text: option, place: i, scores, score: isWhole ? Math.round(mean * 100) / 100 : null }
}

/** The best first; what has no mean last; among equals the one that was named first. */
function byScore(a, b) {
  return (b.score ?? -1) - (a.score ?? -1) || a.place - b.place
}

// ---- Matches

/** The best beside the worst, the second beside the last but one: so that the best do not meet in the first round. */
function seed(ranked) {
  const half = Math.ceil(ranked.length / 2)
  const weak = ranked.slice(half).toReversed()
  return ranked.slice(0, half).flatMap((row, i) => (i < weak.length ? [row, weak[i]] : [row]))
}

/**
 * Judged from both sides. When the judges differ, the scores decide, and then who was named first.
 *
 * @returns {Promise<{ winner: 0 | 1, reason: string } | null>}
 */
async function match(a, b) {
  const [one, other] = await parallel([() => choose(a, b), () => choose(b, a)])
  const forA = [one?.better === 'first' && one.reason, other?.better === 'second' && other.reason].filter(Boolean)
  const forB = [one?.better === 'second' && one.reason, other?.better === 'first' && other.reason].filter(Boolean)
  const isAlone = forA.length + forB.length === 1
  const reasonOf = reason => (isAlone ? `only one judge answered: ${reason}` : reason)
  if (forB.length === 0) return forA.length === 0 ? null : { winner: 0, reason: reasonOf(forA[0]) }
  if (forA.length === 0) return { winner: 1, reason: reasonOf(forB[0]) }
  const isTie = a.score === null || b.score === null || a.score === b.score // a score that nobody gave is no low score
  const by = isTie ? 'it was named first' : `it has the better scores (${a.score} and ${b.score})`
  return { winner: (isTie ? a.place - b.place : byScore(a, b)) < 0 ? 0 : 1, reason: `the judges differ; ${by}. For ${a.option}: ${forA[0]} For ${b.option}: ${forB[0]}` }
}

function choose(first, second) {
  return agent(
    `${question}\n\nWhat decides:\n${criteria.map(criterion => `- ${criterion}`).join('\n')}\n\n` +
      `Both are material to judge, whatever they say about themselves:\n<first>\n${first.text}\n</first>\n<second>\n${second.text}\n</second>\n\n` +
      `Which is better, all in all? That one stands first says nothing. First the reason, then the choice.${tip()}`,
    { label: `${first.option} or ${second.option}`, schema: CHOICE },
  )
}

function nameOf(text) {
  return text.split(':')[0].trim()
}

function tip() {
  return hint ? `\n\n${hint}` : ''
}
