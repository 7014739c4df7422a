// Write release notes from the git history since a tag, grouped, and ask me before they are final.

export const meta = {
  name: 'release-notes',
  description: 'Write release notes from the git history since a tag, grouped, and ask me before they are final.',
  args: {
    type: 'object',
    required: ['tag'],
    properties: {
      tag: { type: 'string', pattern: '^[^-\\s]\\S*$' },
    },
  },
  limits: { agents: 2 },
  permissions: ['ask', 'check'],
}

const { tag } = args
const TEXT = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }
const history = await check(`git log --oneline ${JSON.stringify(tag)}..HEAD`)
if (!history.ok) return { notes: null, why: history.stderr }
const lines = history.stdout.split('\n').filter(Boolean)
log(`${lines.length} commits since ${tag}`)
if (lines.length === 0) return { notes: null, why: 'nothing has changed' }
const draft = await agent(`Write release notes for users from these commits, grouped by what changes for them:\n\n${lines.join('\n')}`, { label: 'draft', schema: TEXT })
if (draft === null) return { notes: null, why: 'nobody wrote them' }
const answer = await ask(`Release notes:\n\n${draft.text}\n\nTake them?`, { choices: ['yes', 'no'] })
return { notes: draft.text, taken: answer === 'yes' }
