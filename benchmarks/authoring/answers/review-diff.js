// Review my uncommitted changes from several angles; only what most sceptics let stand counts.

export const meta = {
  name: 'review-diff',
  description: 'Review my uncommitted changes from several angles; only what most sceptics let stand counts.',
  phases: [{ title: 'Find' }, { title: 'Doubt' }],
  limits: { agents: 60 },
  permissions: ['check'],
}

const ANGLES = ['correctness', 'security', 'tests']
const FINDINGS = {
  type: 'object',
  required: ['findings'],
  properties: {
    findings: { type: 'array', maxItems: 5, items: { type: 'object', required: ['title', 'why'], properties: { title: { type: 'string', minLength: 1 }, why: { type: 'string', minLength: 1 } } } },
  },
}
const diff = (await check('git diff HEAD')).stdout
const SHOWN = 30_000
if (diff.length > SHOWN) log(`only the first ${SHOWN} of ${diff.length} characters are reviewed`)
const shown = diff.slice(0, SHOWN)
const perAngle = await pipeline(ANGLES, find, doubt)
const missing = ANGLES.filter((_, i) => perAngle[i] === null)
if (missing.length > 0) log(`not reviewed: ${missing.join(', ')}`)
return { findings: perAngle.flatMap(found => found ?? []), missing }

async function find(angle) {
  const answer = await agent(`Review this diff for ${angle}:\n\n${shown}`, { label: angle, phase: 'Find', schema: FINDINGS })
  if (answer === null) throw new Error(`nobody reviewed ${angle}`)
  return answer.findings
}

async function doubt(found) {
  const votes = await parallel(found.map(({ title, why }) => () => vote(3, `Does this hold? Answer yes or no.\n\n${title}: ${why}`, { label: title.slice(0, 30), phase: 'Doubt', key: answer => answer.trim().toLowerCase().slice(0, 2) })))
  return found.filter((_, i) => votes[i]?.winner?.trim().toLowerCase().slice(0, 2) !== 'no')
}
