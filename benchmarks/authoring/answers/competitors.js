// Compare how some libraries solve the same problem, and recommend one.

export const meta = {
  name: 'competitors',
  description: 'Compare how some libraries solve the same problem, and recommend one.',
  phases: [{ title: 'Collect' }, { title: 'Report' }],
  args: {
    type: 'object',
    required: ['libraries'],
    properties: {
      libraries: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 20 },
}

const { libraries } = args
const NOTES = {
  type: 'object',
  required: ['notes'],
  properties: {
    notes: { type: 'array', maxItems: 5, items: { type: 'object', required: ['point', 'source'], properties: { point: { type: 'string', minLength: 1 }, source: { type: 'string', minLength: 1 } } } },
  },
}
const TEXT = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }

phase('Collect')
// A summary needs all notes together, so all of them have to be there.
const answers = await parallel(libraries.map(library => () =>
  agent(`How does ${library} solve it? Note what is good and bad, with a source.`, { label: library, schema: NOTES })))
const notes = answers.flatMap((answer, i) => (answer?.notes ?? []).map(note => ({ library: libraries[i], ...note })))
const missing = libraries.filter((_, i) => answers[i] === null)
log(`${notes.length} notes; no answer for ${missing.length} of ${libraries.length}`)
if (notes.length === 0) return { report: null, notes, missing }

phase('Report')
const report = await agent(`Compare the libraries by these notes and recommend one, with the reason.\n\n${JSON.stringify(notes, null, 1)}`, { label: 'report', schema: TEXT })
if (report === null) log('nobody wrote the report; the notes are returned')
return { report: report?.text ?? null, notes, missing }
