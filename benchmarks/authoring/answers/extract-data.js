// Read invoices and give me a table of number, date and total; say which could not be read.

export const meta = {
  name: 'extract-data',
  description: 'Read invoices and give me a table of number, date and total; say which could not be read.',
  args: {
    type: 'object',
    required: ['files'],
    properties: {
      files: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 10 },
}

const { files } = args
const INVOICE = {
  type: 'object',
  required: ['number', 'date', 'total'],
  properties: { number: { type: 'string' }, date: { type: 'string' }, total: { type: 'number' } },
}
const rows = await pipeline(files, file => agent(`Read the invoice ${file}: its number, its date (YYYY-MM-DD) and its total.`, { label: file, schema: INVOICE }), (row, file) => row && { file, ...row })
const unread = files.filter((_, i) => rows[i] === null)
const table = rows.filter(Boolean)
log(`${table.length} read, ${unread.length} not`)
return { table, total: table.reduce((sum, row) => sum + row.total, 0), unread }
