// Let three architects work out a plan each, and choose.

export const meta = {
  name: 'architecture',
  description: 'Let three architects work out a plan each, and choose.',
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
const LENSES = ['the least that works', 'failure', 'growth']
const TEXT = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }

phase('Propose')
const drafts = await parallel(LENSES.map(lens => () =>
  agent(`${task}\n\nWork out a plan. Think of this first: ${lens}.`, { label: lens, schema: TEXT })))
const attempts = drafts.filter(Boolean).map(draft => draft.text)
log(`${attempts.length} of ${LENSES.length} proposals`)
if (attempts.length === 0) return { best: null, ranking: [] }

phase('Judge')
const ranking = await judgePanel(attempts, { task: `${task}\n\nWhich plan can be built, and holds?`, judges: 3 })
return { best: ranking[0]?.attempt ?? null, ranking }
