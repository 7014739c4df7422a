// Work out what led to an outage from several logs, and write the timeline.

export const meta = {
  name: 'incident',
  description: 'Work out what led to an outage from several logs, and write the timeline.',
  phases: [{ title: 'Collect' }, { title: 'Report' }],
  args: {
    type: 'object',
    required: ['logs'],
    properties: {
      logs: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 20 },
}

const { logs } = args
const NOTES = {
  type: 'object',
  required: ['notes'],
  properties: {
    notes: { type: 'array', maxItems: 5, items: { type: 'object', required: ['time', 'event'], properties: { time: { type: 'string', minLength: 1 }, event: { type: 'string', minLength: 1 } } } },
  },
}
const TEXT = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }

phase('Collect')
// A summary needs all notes together, so all of them have to be there.
const answers = await parallel(logs.map(log_ => () =>
  agent(`What of ${log_} has to do with the outage? Note events with their time.`, { label: log_, schema: NOTES })))
const notes = answers.flatMap((answer, i) => (answer?.notes ?? []).map(note => ({ log_: logs[i], ...note })))
const missing = logs.filter((_, i) => answers[i] === null)
log(`${notes.length} notes; no answer for ${missing.length} of ${logs.length}`)
if (notes.length === 0) return { report: null, notes, missing }

phase('Report')
const report = await agent(`Write what happened, in the order of time, and the most likely cause, from these events.\n\n${JSON.stringify(notes, null, 1)}`, { label: 'report', schema: TEXT })
if (report === null) log('nobody wrote the report; the notes are returned')
return { report: report?.text ?? null, notes, missing }
