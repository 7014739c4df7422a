// Find a name for our product: proposals from different directions, judged by a panel.

export const meta = {
  name: 'naming',
  description: 'Find a name for our product: proposals from different directions, judged by a panel.',
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
const LENSES = ['sound', 'meaning', 'what is free to use']
const TEXT = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }

phase('Propose')
const drafts = await parallel(LENSES.map(lens => () =>
  agent(`${task}\n\nPropose one name with its reason. Think of this first: ${lens}.`, { label: lens, schema: TEXT })))
const attempts = drafts.filter(Boolean).map(draft => draft.text)
log(`${attempts.length} of ${LENSES.length} proposals`)
if (attempts.length === 0) return { best: null, ranking: [] }

phase('Judge')
const ranking = await judgePanel(attempts, { task: `${task}\n\nWhich name will be remembered, and hurts nobody?`, judges: 3 })
return { best: ranking[0]?.attempt ?? null, ranking }
