// Research a question from several angles and write a report that names its sources.

export const meta = {
  name: 'research',
  description: 'Research a question from several angles and write a report that names its sources.',
  phases: [{ title: 'Collect' }, { title: 'Report' }],
  args: {
    type: 'object',
    required: ['angles'],
    properties: {
      angles: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 20 },
}

const { angles } = args
const NOTES = {
  type: 'object',
  required: ['notes'],
  properties: {
    notes: { type: 'array', maxItems: 5, items: { type: 'object', required: ['answer', 'source'], properties: { answer: { type: 'string', minLength: 1 }, source: { type: 'string', minLength: 1 } } } },
  },
}
const TEXT = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }

phase('Collect')
// A summary needs all notes together, so all of them have to be there.
const answers = await parallel(angles.map(angle => () =>
  agent(`Research this: ${angle}. Note what you find, each with its source.`, { label: angle, schema: NOTES })))
const notes = answers.flatMap((answer, i) => (answer?.notes ?? []).map(note => ({ angle: angles[i], ...note })))
const missing = angles.filter((_, i) => answers[i] === null)
log(`${notes.length} notes; no answer for ${missing.length} of ${angles.length}`)
if (notes.length === 0) return { report: null, notes, missing }

phase('Report')
const report = await agent(`Write a report of these notes. Name the source of every statement.\n\n${JSON.stringify(notes, null, 1)}`, { label: 'report', schema: TEXT })
if (report === null) log('nobody wrote the report; the notes are returned')
return { report: report?.text ?? null, notes, missing }
