// A tour of a repository. What code can know, code finds: the parts, their files, what the files say about themselves.
// A model is asked only for what takes a reader: a line about each part. Prompts are short, answers are checked, and each
// line stands below the part's own words, so that a reader sees what to make of it even when the model is very small.

export const meta = {
  name: 'repo-tour',
  description: 'A one-page tour of this repository: its parts found by code, one line about each by a model.',
  whenToUse: 'To get to know a code base, and to see Pawl work with the embedded model: no key, no network.',
  phases: [
    { title: 'Look', detail: 'find the parts and the files that explain them' },
    { title: 'Describe', detail: 'one line about each part' },
  ],
  args: {
    type: 'object',
    additionalProperties: false,
    properties: {
      most: { type: 'integer', minimum: 1, maximum: 200, description: 'parts to describe; the largest come first' },
      as: { enum: ['text', 'data'], description: 'what the run returns: a page for people, or the parts as objects' },
    },
  },
  limits: { agents: 200, minutes: 60 },
  permissions: ['files'],
}

const { most = 24, as = 'text' } = args ?? {}
const SOURCES = '**/*.{py,js,ts,go,rs,java,c,rb,sh,md}'
const NOT_OURS = new Set(['node_modules', 'vendor', 'venv', 'dist', 'build'])
const TOLD_FIRST = /^(readme|index|main|__init__|mod|lib)\b/i

phase('Look')
const parts = await findParts()
const shown = parts.slice(0, most)
if (shown.length < parts.length) {
  log(`${parts.length - shown.length} of ${parts.length} parts are left out (most: ${most})`)
}

phase('Describe')
const told = await pipeline(shown, readBeginnings, describe)
const tour = shown.map((part, i) => told[i] ?? { ...part, says: [], line: null, model: null })
const models = [...new Set(tour.map(part => part.model).filter(Boolean))]

return as === 'data' ? { parts: tour, models, leftOut: parts.length - shown.length } : page(tour)

/** Every folder (two levels deep at most) that holds source files, the largest first. */
async function findParts() {
  const folders = new Map()
  for (const file of await glob(SOURCES)) {
    const steps = file.split('/').slice(0, -1)
    if (steps.some(step => NOT_OURS.has(step))) continue
    const folder = steps.slice(0, 2).join('/') || '.'
    if (!folders.has(folder)) folders.set(folder, [])
    folders.get(folder).push(file)
  }
  return [...folders]
    .map(([folder, files]) => ({ folder, files: files.length, names: files.sort(byPromise).slice(0, 3) }))
    .sort((a, b) => b.files - a.files || (a.folder < b.folder ? -1 : 1))
}

/** The files that say most about their folder come first. */
function byPromise(a, b) {
  const rank = file => (TOLD_FIRST.test(file.split('/').at(-1)) ? 0 : 1)
  return rank(a) - rank(b) || a.length - b.length || (a < b ? -1 : 1)
}

async function readBeginnings(part) {
  const says = []
  for (const name of part.names) {
    const about = beginning(name, (await readFile(name)) ?? '')
    if (about) says.push(`${name.split('/').at(-1)}: ${about}`)
  }
  return { ...part, says }
}

/** What a file says about itself: its first prose, without comment marks. Empty when it starts with code. */
function beginning(name, text) {
  const prose = []
  const isHeading = line => name.endsWith('.md') && line.startsWith('#')
  for (const line of text.split('\n').slice(0, 40)) {
    const bare = line.replace(/^\s*(#!.*|"""|'''|\/\*+|\*\/|\*|\/\/+|#|<!--)?\s*/, '').replace(/("""|'''|\*\/|-->)\s*$/, '').trim()
    if (bare === '' && prose.length > 0) break
    if (/^(import|from|export|const|let|use|package|class|def|function)\b/.test(bare)) break
    if (/^(\||["'`]|[\w-]+:)/.test(bare)) continue // a table, a directive, an instruction to a tool
    if (/[a-z]{2,} [a-z]+ [a-z]/i.test(bare) && !isHeading(line)) prose.push(bare)
  }
  return prose.join(' ').slice(0, 240)
}

async function describe(part) {
  if (part.says.length === 0) return { ...part, line: null, model: null } // nothing to read: a model would make it up
  const prompt = `Notes from the folder "${part.folder}" of a software project:\n\n${part.says.join('\n')}\n\n` +
    'In one short sentence, what is this folder for?'
  const answer = await agent(prompt, { label: part.folder, full: true })
  const line = oneSentence(answer.value ?? '')
  if (line === null) log(`${part.folder}: no usable line (${answer.reason ?? 'not one sentence'})`)
  return { ...part, line, model: line === null ? null : answer.model }
}

/** The first sentence of a text, or null when that is too short, or turns in a circle as small models do. */
function oneSentence(text) {
  const flat = text.replace(/\s+/g, ' ').replace(/^["'\s]+|["'\s]+$/g, '')
  const sentence = flat.match(/^.*?[.!?](?=\s|$)/)?.[0] ?? flat
  const words = sentence.toLowerCase().split(' ')
  const triples = words.slice(2).map((word, i) => `${words[i]} ${words[i + 1]} ${word}`)
  if (words.length < 3 || new Set(triples).size < triples.length) return null
  return sentence.length <= 160 ? sentence : `${sentence.slice(0, sentence.lastIndexOf(' ', 157))}…`
}

function page(tour) {
  const described = tour.filter(part => part.line !== null).length
  const files = tour.reduce((sum, part) => sum + part.files, 0)
  const lines = tour.toSorted((a, b) => (a.folder < b.folder ? -1 : 1)).flatMap(part => [
    `${part.folder} · ${count(part.files, 'file')}`,
    `    ${oneSentence((part.says[0] ?? '').replace(/^\S+: /, '')) ?? '(says nothing about itself)'}`,
    ...(part.line === null ? [] : [`  ~ ${part.line}`]),
  ])
  return [
    `A tour: ${count(tour.length, 'part')}, ${count(files, 'source file')}`,
    '',
    ...lines,
    '',
    `Parts, counts and the parts' own words are facts. The ${described} lines with ~ were written by ${models.join(', ') || 'no model'}:`,
    'if that is the embedded one, it is a demo model and very small; it shows that everything works, not what is true.',
  ].join('\n')
}

function count(n, noun) {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
