// Read some meeting notes, pull out decisions and open questions, and write one page.

export const meta = {
  name: 'summarise-meetings',
  description: 'Read some meeting notes, pull out decisions and open questions, and write one page.',
  phases: [{ title: 'Collect' }, { title: 'Report' }],
  args: {
    type: 'object',
    required: ['files'],
    properties: {
      files: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 20 },
}

const { files } = args
const NOTES = {
  type: 'object',
  required: ['notes'],
  properties: {
    notes: { type: 'array', maxItems: 5, items: { type: 'object', required: ['what', 'who'], properties: { what: { type: 'string', minLength: 1 }, who: { type: 'string', minLength: 1 } } } },
  },
}
const TEXT = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }

phase('Collect')
// A summary needs all notes together, so all of them have to be there.
const answers = await parallel(files.map(file => () =>
  agent(`Note the decisions and the open questions of ${file}.`, { label: file, schema: NOTES })))
const notes = answers.flatMap((answer, i) => (answer?.notes ?? []).map(note => ({ file: files[i], ...note })))
const missing = files.filter((_, i) => answers[i] === null)
log(`${notes.length} notes; no answer for ${missing.length} of ${files.length}`)
if (notes.length === 0) return { report: null, notes, missing }

phase('Report')
const report = await agent(`Write one page of these decisions and questions, what is urgent first.\n\n${JSON.stringify(notes, null, 1)}`, { label: 'report', schema: TEXT })
if (report === null) log('nobody wrote the report; the notes are returned')
return { report: report?.text ?? null, notes, missing }
