// Wrong on purpose: no_barrier, pipeline

export const meta = {
  name: 'waits-for-all',
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

const read = await parallel(args.items.map(item => () => agent(`Read ${item}`)))
return parallel(read.filter(Boolean).map(text => () => agent(`Check ${text}`)))
