export const meta = {
  name: 'check-claims',
  description: 'Find the claims in some documents that their code does not bear out.',
  phases: [{ title: 'Read' }, { title: 'Verify' }],
  args: {
    type: 'object',
    properties: {
      pattern: { type: 'string', description: 'which documents' },
      most: { type: 'integer', minimum: 1, maximum: 50 },
    },
  },
  limits: { agents: 200 },
  permissions: ['files'],
}

const CLAIMS = {
  type: 'object',
  required: ['claims'],
  properties: { claims: { type: 'array', maxItems: 3, items: { type: 'string' } } },
}
const VERDICT = {
  type: 'object',
  required: ['holds', 'evidence'],
  properties: { holds: { type: 'boolean' }, evidence: { type: 'string' } },
}
const { pattern = 'docs/**/*.md', most = 20 } = args ?? {}

const found = await glob(pattern)
const documents = found.slice(0, most)
if (found.length > documents.length) log(`${found.length - documents.length} documents beyond the first ${most} are left out`)

const perDocument = await pipeline(documents, read, verifyAll)
const unread = documents.filter((_, i) => perDocument[i] === null)
if (unread.length > 0) log(`not read: ${unread.join(', ')}`)
const wrong = perDocument.flatMap(verdicts => verdicts ?? []).filter(verdict => verdict.holds === false)
return { documents: documents.length, wrong, unread }

async function read(file) {
  const answer = await agent(`List what ${file} claims about the code, at most three claims that matter.`, {
    label: file, phase: 'Read', agentType: 'explore', schema: CLAIMS,
  })
  if (answer === null) throw new Error(`nobody read ${file}`) // its item becomes null
  return answer.claims
}

async function verifyAll(claims, file) {
  const verdicts = await parallel(claims.map(claim => () =>
    agent(`${file} claims: ${claim}\n\nTry to refute it from the code.`, {
      label: claim.slice(0, 40), phase: 'Verify', agentType: 'verify', schema: VERDICT,
    })))
  return verdicts.map((verdict, i) => ({ file, claim: claims[i], holds: verdict?.holds ?? null, evidence: verdict?.evidence ?? 'nobody answered' }))
}
