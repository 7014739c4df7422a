// Translate the user guide into several languages, and have each translation read by a second translator.

export const meta = {
  name: 'translate',
  description: 'Translate the user guide into several languages, and have each translation read by a second translator.',
  phases: [{ title: 'Translate' }, { title: 'Read' }],
  args: {
    type: 'object',
    required: ['languages'],
    properties: {
      languages: { type: 'array', minItems: 1, maxItems: 6, items: { type: 'string', minLength: 1 } },
    },
  },
  limits: { agents: 16 },
}

const { languages } = args
const TEXT = { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 } } }
const pages = await pipeline(
  languages,
  language => agent(`Translate README.md into ${language}.`, { label: language, phase: 'Translate', schema: TEXT }),
  (draft, language) => draft && agent(`Improve this translation into ${language}; keep code and names:\n\n${draft.text}`, { label: language, phase: 'Read', schema: TEXT }),
)
const missing = languages.filter((_, i) => pages[i] === null)
if (missing.length > 0) log(`no translation into ${missing.join(', ')}`)
return { pages: Object.fromEntries(languages.map((language, i) => [language, pages[i]?.text ?? null])), missing }
