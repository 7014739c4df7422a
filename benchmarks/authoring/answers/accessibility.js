// Check all pages of the web interface for accessibility problems.

export const meta = {
  name: 'accessibility',
  description: 'Check all pages of the web interface for accessibility problems.',
  phases: [{ title: 'Find' }, { title: 'Verify' }],
  args: {
    type: 'object',
    properties: {
      most: { type: 'integer', minimum: 1, maximum: 20, description: 'default: 12' },
      hint: { type: 'string', description: 'what to mind (default: nothing)' },
    },
  },
  limits: { agents: 150 },
  permissions: ['files'],
}

const { most = 12, hint = '' } = args ?? {}
const PATTERN = '**/*.{html,jsx,tsx,vue}'
const FINDINGS = {
  type: 'object',
  required: ['findings'],
  properties: {
    findings: { type: 'array', maxItems: 5, items: { type: 'object', required: ['title', 'why'], properties: { title: { type: 'string', minLength: 1 }, why: { type: 'string', minLength: 1 } } } },
  },
}
const VERDICT = {
  type: 'object',
  required: ['holds', 'because'],
  properties: { holds: { type: 'boolean' }, because: { type: 'string', minLength: 1 } },
}

const all = (await glob(PATTERN)).sort()
const files = all.slice(0, most)
if (all.length > files.length) log(`${all.length - files.length} of ${all.length} files are left out (most: ${most})`)

const perFile = await pipeline(files, find, verify)
const missing = files.filter((_, i) => perFile[i] === null)
if (missing.length > 0) log(`nobody looked at ${missing.join(', ')}`)
const findings = perFile.flatMap(found => found ?? [])
return { files: files.length, findings, missing }

async function find(file) {
  const answer = await agent(`What can a person with a screen reader or without a mouse not do on the page ${file}. ${hint}`, { label: file, phase: 'Find', agentType: 'explore', schema: FINDINGS })
  if (answer === null) throw new Error(`nobody read ${file}`)
  return answer.findings
}

async function verify(found, file) {
  const verdicts = await parallel(found.map(({ title, why }) => () =>
    agent(`Does this really keep somebody from using the page? In ${file}: ${title} (${why})`, { label: `${file}: ${title}`.slice(0, 60), phase: 'Verify', schema: VERDICT })))
  return found.map((finding, i) => ({ file, ...finding, holds: verdicts[i]?.holds ?? null })).filter(finding => finding.holds !== false)
}
