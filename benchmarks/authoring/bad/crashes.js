// Wrong on purpose: runs, handles_null

export const meta = {
  name: 'crashes',
  description: 'Wrong on purpose: a check has to notice.',
  args: {
    type: 'object',
    required: ['items'],
    properties: {
      items: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 20 },
}

const answer = await agent(`Name what ${args.items[0]} needs`)
const shorten = text => text.toUpperCase()
return shorten(answer)
