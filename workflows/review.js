// A review that can be believed: each dimension is searched on its own, and every finding has to survive sceptics who
// were told to refute it. No dimension waits for another: a finding is verified as soon as it is found.

export const meta = {
  name: 'review',
  description: 'Review a target along several dimensions; every finding is verified by sceptics before it is reported.',
  whenToUse: 'Before a merge or a release, when false alarms cost more than a few more agents.',
  phases: [
    { title: 'Find', detail: 'one reviewer for each dimension' },
    { title: 'Verify', detail: 'sceptics try to refute each finding' },
  ],
  args: {
    type: 'object',
    required: ['target'],
    additionalProperties: false,
    properties: {
      target: { type: 'string', minLength: 1, description: 'what to review: a text, a file, "the changes since main"' },
      dimensions: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, maxItems: 16 },
      sceptics: { type: 'integer', minimum: 1, maximum: 9, description: 'for each finding; a majority decides' },
      most: { type: 'integer', minimum: 1, maximum: 50, description: 'findings to verify in each dimension' },
    },
  },
  limits: { agents: 400 },
}

const { target, sceptics = 3, most = 8 } = args
const dimensions = args.dimensions ?? [
  'correctness: wrong results, unhandled cases, races',
  'security: what an attacker could reach or break',
  'failure: what happens when a step fails half-way',
  'clarity: names, comments and messages that mislead',
]

const FINDINGS = {
  type: 'object',
  required: ['findings'],
  properties: {
    findings: {
      type: 'array',
      maxItems: 20,
      items: {
        type: 'object',
        required: ['title', 'where', 'why', 'severity'],
        properties: {
          title: { type: 'string', maxLength: 120 },
          where: { type: 'string', maxLength: 200, description: 'file and line, or the passage' },
          why: { type: 'string', maxLength: 600, description: 'what goes wrong, for which input' },
          severity: { enum: ['critical', 'major', 'minor'] },
        },
      },
    },
  },
}

const VERDICT = {
  type: 'object',
  required: ['refuted', 'because'],
  properties: {
    refuted: { type: 'boolean', description: 'true when the finding does not hold, or nothing shows that it does' },
    because: { type: 'string', maxLength: 400 },
  },
}

const ANGLES = ['Try to reproduce it by reasoning step by step.', 'Look for what already prevents it.', 'Ask whether it matters to anyone.']

const searched = await pipeline(dimensions, find, verifyAll)

const gaps = dimensions.filter((_, i) => searched[i] === null)
for (const dimension of gaps) log(`not reviewed: ${dimension}`)
const judged = merge(searched.flatMap(found => found ?? []))
const confirmed = judged.filter(finding => finding.verdict === 'confirmed')
const undecided = judged.filter(finding => finding.verdict === 'undecided')
const refuted = judged.length - confirmed.length - undecided.length
log(`${confirmed.length} confirmed, ${undecided.length} undecided, ${refuted} refuted`)

return { confirmed, undecided, refuted, gaps }

async function find(dimension) {
  const name = dimension.split(':')[0]
  const answer = await agent(
    `Review this:\n\n${target}\n\nOnly one dimension counts: ${dimension}. Report what is really wrong, most severe first; an empty list is a good answer.`,
    { label: `find ${name}`, phase: 'Find', schema: FINDINGS },
  )
  if (answer === null) throw new Error(`the reviewer for ${name} gave no answer`) // its slot is null: a gap, not a clean bill
  if (answer.findings.length > most) log(`${name}: ${answer.findings.length - most} findings beyond the first ${most} are dropped`)
  return answer.findings.slice(0, most).map(finding => ({ dimension: name, ...finding }))
}

function verifyAll(findings) {
  return parallel(findings.map(finding => () => verify(finding))).then(all => all.filter(finding => finding !== null))
}

async function verify(finding) {
  const verdicts = await parallel(
    Array.from({ length: sceptics }, (_, i) => () =>
      agent(
        `A reviewer claims about this:\n\n${target}\n\nClaim: ${finding.title}\nWhere: ${finding.where}\nWhy: ${finding.why}\n\n` +
          `Refute the claim. ${ANGLES[i % ANGLES.length]} If you cannot, say so. (Sceptic ${i + 1} of ${sceptics}.)`,
        { label: `doubt ${finding.title}`, phase: 'Verify', schema: VERDICT },
      ),
    ),
  )
  // A sceptic without an answer is no vote: a finding is confirmed or refuted only by a majority of all who were asked.
  const votes = verdicts.filter(verdict => verdict !== null)
  const against = votes.filter(verdict => verdict.refuted).length
  const majority = Math.floor(sceptics / 2) + 1
  const verdict = against >= majority ? 'refuted' : votes.length - against >= majority ? 'confirmed' : 'undecided'
  return { ...finding, verdict, votes: { for: votes.length - against, against, missing: sceptics - votes.length } }
}

/** One entry for a problem that several dimensions found, the most severe first. */
function merge(findings) {
  const rank = { critical: 0, major: 1, minor: 2 }
  const byKey = new Map()
  for (const finding of findings) {
    const key = `${finding.where}\n${finding.title}`.toLowerCase()
    const known = byKey.get(key)
    if (known === undefined || rank[finding.severity] < rank[known.severity]) byKey.set(key, finding)
  }
  return [...byKey.values()].sort((a, b) => rank[a.severity] - rank[b.severity])
}
