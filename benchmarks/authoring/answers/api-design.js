// Draft an API three ways, have the drafts judged, and give me the best.

export const meta = {
  name: 'api-design',
  description: 'Draft an API three ways, have the drafts judged, and give me the best.',
  phases: [{ title: 'Propose' }, { title: 'Judge' }],
  args: {
    type: 'object',
    required: ['task'],
    properties: {
      task: { type: 'string', minLength: 1 },
    },
  },
  limits: { agents: 24 },
}

const { task } = args
const LENSES = ['the caller', 'errors', 'ten years of changes']
const TEXT = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }

phase('Propose')
const drafts = await parallel(LENSES.map(lens => () =>
  agent(`${task}\n\nDraft the API. Think of this first: ${lens}.`, { label: lens, schema: TEXT })))
const attempts = drafts.filter(Boolean).map(draft => draft.text)
log(`${attempts.length} of ${LENSES.length} proposals`)
if (attempts.length === 0) return { best: null, ranking: [] }

phase('Judge')
const ranking = await judgePanel(attempts, { task: `${task}\n\nWhich one would be used without mistakes?`, judges: 3 })
return { best: ranking[0]?.attempt ?? null, ranking }
