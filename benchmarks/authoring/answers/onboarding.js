// Explain each folder to a newcomer and write a guide from that.

export const meta = {
  name: 'onboarding',
  description: 'Explain each folder to a newcomer and write a guide from that.',
  phases: [{ title: 'Collect' }, { title: 'Report' }],
  args: {
    type: 'object',
    required: ['folders'],
    properties: {
      folders: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 20 },
}

const { folders } = args
const NOTES = {
  type: 'object',
  required: ['notes'],
  properties: {
    notes: { type: 'array', maxItems: 5, items: { type: 'object', required: ['fact', 'file'], properties: { fact: { type: 'string', minLength: 1 }, file: { type: 'string', minLength: 1 } } } },
  },
}
const TEXT = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }

phase('Collect')
// A summary needs all notes together, so all of them have to be there.
const answers = await parallel(folders.map(folder => () =>
  agent(`What would a newcomer have to know of the folder ${folder}?`, { label: folder, schema: NOTES })))
const notes = answers.flatMap((answer, i) => (answer?.notes ?? []).map(note => ({ folder: folders[i], ...note })))
const missing = folders.filter((_, i) => answers[i] === null)
log(`${notes.length} notes; no answer for ${missing.length} of ${folders.length}`)
if (notes.length === 0) return { report: null, notes, missing }

phase('Report')
const report = await agent(`Write a guide for newcomers from these facts.\n\n${JSON.stringify(notes, null, 1)}`, { label: 'report', schema: TEXT })
if (report === null) log('nobody wrote the report; the notes are returned')
return { report: report?.text ?? null, notes, missing }
