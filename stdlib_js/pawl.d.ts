/**
 * What a Pawl workflow script finds, for editors and for `tsc --checkJs`.
 *
 * This file is never run. It describes the globals that the other files of this folder define; docs/scripts.md is the
 * guide, and the ids in brackets (`[S30]`) are the rules of that guide. A script is plain JavaScript: it may not use
 * types itself, but with `// @ts-check` an editor checks it against these.
 */

// ---------------------------------------------------------------------------------------------------- JSON and schemas

/** What may cross from a script to the host and back. */
type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** A JSON Schema. Any keyword is allowed; the ones named here also shape the type that `agent()` returns. */
interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: { readonly [name: string]: JsonSchema };
  readonly required?: readonly string[];
  readonly items?: JsonSchema | boolean;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly description?: string;
  readonly [keyword: string]: unknown;
}

/**
 * The type that a schema describes, as far as types can. In a schema that is kept in a `const` of its own, `type: 'string'`
 * has become `type: string`: its members are `any`, its shape is still known.
 */
type FromSchema<S> =
  S extends { readonly const: infer C } ? C
  : S extends { readonly enum: readonly (infer E)[] } ? E
  : S extends { readonly anyOf: readonly (infer A)[] } ? FromSchema<A>
  : S extends { readonly properties: infer P } ? FromProperties<P, S extends { readonly required: readonly (infer R)[] } ? R : never>
  : S extends { readonly items: infer I extends object } ? FromSchema<I>[]
  : S extends { readonly type: infer T extends string } ? (string extends T ? any : FromType<T>)
  : S extends { readonly type: readonly (infer T extends string)[] } ? FromType<T>
  : unknown;

type FromType<T extends string> =
  T extends 'string' ? string
  : T extends 'number' | 'integer' ? number
  : T extends 'boolean' ? boolean
  : T extends 'null' ? null
  : T extends 'array' ? unknown[]
  : T extends 'object' ? { [key: string]: unknown }
  : unknown;

type FromProperties<P, Required> =
  { -readonly [K in keyof P as K extends Required ? K : never]: FromSchema<P[K]> } &
  { -readonly [K in keyof P as K extends Required ? never : K]?: FromSchema<P[K]> };

// ----------------------------------------------------------------------------------------------------------------- meta

/** The first statement of a script: `export const meta = {…}`, a pure literal that is never evaluated [S02, S03]. */
interface Meta {
  /** Not empty. `pawl run NAME` and `workflow(NAME)` find the script by it [S04]. */
  name: string;
  /** Not empty: one sentence, shown by `pawl workflows` [S04]. */
  description: string;
  /** When to choose this workflow: for people and models that pick one. */
  whenToUse?: string;
  /** The groups that `phase()` opens, in order: shown before the run starts. */
  phases?: { title: string; detail?: string; model?: string }[];
  /** Default model of the agents of this script. */
  model?: string;
  /** JSON Schema of `args`: a run whose args do not fit is refused before anything starts [S05]. */
  args?: JsonSchema;
  /** Caps of a run. They lower the user's settings, never raise them; a flag overrides both [S05]. */
  limits?: { agents?: number; concurrency?: number; tokens?: number; costUsd?: number; minutes?: number };
  /** Host effects that the script asks for. A person confirms them, or the config, or `--allow` [S63]. */
  permissions?: ('check' | 'ask' | 'files')[];
  /** Whose rules hold where runtimes differ: ours, or MiMo Code's. Default: by the folder of the script [S16]. */
  dialect?: 'pawl' | 'mimo';
}

// ---------------------------------------------------------------------------------------------------------------- agents

type Effort = 'low' | 'medium' | 'high' | 'xhigh' | 'max';

/** Options of `agent()` [S25, S26]. An unknown option is accepted with one warning that names it. */
interface AgentOptions {
  /** What to call this agent where people see it, and in `pawl resume --rerun LABEL`. Changes nothing about the answer. */
  label?: string;
  /** The group it is shown in, instead of the one that `phase()` opened [S40]. */
  phase?: string;
  /** Which model answers. Default: `meta.model`, then the run's `--model`. */
  model?: string;
  effort?: Effort;
  /** A kind of subagent with a prompt and tools of its own; an unknown one throws and names the known ones [S24]. */
  agentType?: string;
  /** Gives the subagent a git worktree of its own, from the current commit; `full: true` tells what it changed. */
  isolation?: 'worktree';
  /** The tools that it may use: an allowlist. */
  tools?: string[];
  /** Time for one attempt; then the call is null with reason `timeout` [S23]. */
  timeoutMinutes?: number;
  /** Attempts at transient failures. Default: 3, waiting 1 s and doubling; permanent failures are never repeated. */
  retry?: { attempts?: number; backoffSeconds?: number };
  /** `sample`, `local`, `openai:MODEL`… instead of the run's `--backend`. */
  backend?: string;
  /** Where it works: a folder inside the workspace. */
  cwd?: string;
  /** `rerun`: ask again on every resume, even when the answer is recorded. */
  cache?: 'reuse' | 'rerun';
  /**
   * When the subagent may stop, in words: an independent judge says so, with quotes, else the subagent goes on, at most 12
   * rounds. Throws `goal_not_met`, `goal_impossible` or `judge_failed` [S70].
   */
  goal?: string;
  /** A command that must end with exit code 0 before the subagent may stop; needs the permission `check` [S63, S70]. */
  check?: string;
  /** Draws each step so often, up to 16, and carries out the one that a judge picks. Models of providers only [S71]. */
  candidates?: number;
}

/** What was found when a subagent wanted to stop [S70]. */
interface Verdict {
  met: 'met' | 'not met' | 'impossible';
  /** `evidence` is a quote from what the judge was shown; empty where nothing shows it. */
  criteria: { criterion: string; met: boolean; evidence: string }[];
  reason: string;
  /** Of `check`; null when there is none, or when it was not done in time. */
  exitCode: number | null;
}

/** What `full: true` gives instead of the bare value [S26]. */
interface Full<T> {
  value: T | null;
  /** Why `value` is null; null when it is not. */
  reason: string | null;
  usage: { inputTokens: number; outputTokens: number };
  costUsd: number;
  /** The model that answered. */
  model: string | null;
  /** Whether the answer was found in the journal. */
  cached: boolean;
  /** What was changed with `isolation: 'worktree'`. Null when nothing was, and without isolation. */
  worktree: Worktree | null;
  /** With `goal` or `check`, oldest first: the last one is `met` [S70]. */
  verdicts?: Verdict[];
}

/** A subagent's working copy, with all that it changed committed on `branch` [S25]. */
interface Worktree {
  /** Relative to the project root. */
  path: string;
  branch: string;
  /** The commit that it started from. */
  base: string;
  state: 'kept' | 'merged' | 'conflict';
  /** Files that were changed, relative to the repository's top: at most 1,000; `changed` is how many there are. */
  files: string[];
  changed: number;
  /** `git diff --stat` from `base`. */
  summary: string;
}

/** How `mergeWorktree()` ended. */
interface Merged {
  /** False: conflicts; nothing in the project was touched, and the worktree is still there. */
  ok: boolean;
  /** The commit that brought the changes in; null when there was nothing to merge, or with conflicts. */
  commit: string | null;
  /** Files that both sides changed in different ways, relative to the repository's top. */
  conflicts: string[];
  files: string[];
  summary: string;
}

/**
 * Asks a subagent and returns its final text, exactly [S20]; with `schema`, the validated object [S21].
 *
 * Null when the user skipped it, when its provider failed for good, when its time was up, or when it had nothing to say
 * [S23]: always handle null. Throws when a cap is reached, when an option's value is wrong, when the schema contradicts
 * itself, when the answer did not fit the schema after all rounds, and when its goal was not met [S22, S24, S70].
 *
 * @example
 * const found = await agent(`List the bugs in ${path}.`, {
 *   label: path,
 *   schema: { type: 'object', required: ['bugs'], properties: { bugs: { type: 'array', items: { type: 'string' } } } },
 * })
 * if (found) log(found.bugs.length)
 */
declare function agent<const S extends JsonSchema>(prompt: string, opts: AgentOptions & { schema: S; full: true }): Promise<Full<FromSchema<S>>>;
declare function agent<const S extends JsonSchema>(prompt: string, opts: AgentOptions & { schema: S; full?: false }): Promise<FromSchema<S> | null>;
declare function agent(prompt: string, opts: AgentOptions & { schema?: undefined; full: true }): Promise<Full<string>>;
declare function agent(prompt: string, opts?: AgentOptions & { schema?: undefined; full?: false }): Promise<string | null>;

// ----------------------------------------------------------------------------------------------------------------- joins

type Thunk<T> = () => T | PromiseLike<T>;

/** What one slot of a list of thunks, promises and plain values gives. */
type SlotValue<F> = F extends () => infer R ? Awaited<R> : Awaited<F>;

/** One slot with `{settle: true}` [S34]. */
type Settled<T> = { ok: true; value: T } | { ok: false; error: Error };

interface JoinOptions {
  /** At most this many slots at once. */
  concurrency?: number;
  /** Give `{ok, value}` or `{ok, error}` for each slot instead of swallowing errors [S34]. */
  settle?: boolean;
  /** Reject with the first error and cancel the siblings that still run [S34]. */
  failFast?: boolean;
}

/**
 * Starts all thunks at once (within the concurrency cap) and waits for all: results in input order [S30].
 *
 * A thunk that throws puts null in its slot and one line in the log; `parallel` itself never rejects for it. Pass
 * functions, not promises: `() => agent(…)`. At most 4,096 entries [S33].
 */
declare function parallel<const T extends readonly unknown[]>(thunks: T, opts: JoinOptions & { settle: true }): Promise<{ -readonly [K in keyof T]: Settled<SlotValue<T[K]>> }>;
declare function parallel<const T extends readonly unknown[]>(thunks: T, opts: JoinOptions & { failFast: true }): Promise<{ -readonly [K in keyof T]: SlotValue<T[K]> }>;
declare function parallel<const T extends readonly unknown[]>(thunks: T, opts?: JoinOptions): Promise<{ -readonly [K in keyof T]: SlotValue<T[K]> | null }>;

/** A stage of `pipeline`: what the stage before returned (the item itself for the first), the item, its index [S31]. */
type Stage<Previous, Item, Next> = (previous: Previous, item: Item, index: number) => Next | PromiseLike<Next>;

/**
 * Sends each item through all stages on its own, with no barrier between stages: results in input order [S31].
 *
 * A stage that throws makes its item null and skips its later stages; a stage that *returns* null hands null on.
 * A plain object after the last stage is options.
 */
declare function pipeline<I>(items: readonly I[]): Promise<I[]>;
declare function pipeline<I, A>(items: readonly I[], a: Stage<I, I, A>, opts?: JoinOptions & { settle?: false }): Promise<(A | null)[]>;
declare function pipeline<I, A, B>(items: readonly I[], a: Stage<I, I, A>, b: Stage<A, I, B>, opts?: JoinOptions & { settle?: false }): Promise<(B | null)[]>;
declare function pipeline<I, A, B, C>(items: readonly I[], a: Stage<I, I, A>, b: Stage<A, I, B>, c: Stage<B, I, C>, opts?: JoinOptions & { settle?: false }): Promise<(C | null)[]>;
declare function pipeline<I, A, B, C, D>(items: readonly I[], a: Stage<I, I, A>, b: Stage<A, I, B>, c: Stage<B, I, C>, d: Stage<C, I, D>, opts?: JoinOptions & { settle?: false }): Promise<(D | null)[]>;
declare function pipeline<I, R = unknown>(items: readonly I[], ...stagesAndOptions: (Stage<any, I, any> | JoinOptions)[]): Promise<(R | null)[]>;

/** The first thunk to succeed wins, the rest are cancelled; with no success it rejects with AggregateError [S35]. */
declare function race<const T extends readonly unknown[]>(thunks: T): Promise<SlotValue<T[number]>>;

/**
 * Runs each node as soon as its own dependencies are done: `{id: result}` in the order of `nodes` [S35].
 *
 * Cycles, unknown and duplicate ids are refused before anything runs. A node that throws gives null; its dependants do
 * not run and are null too.
 */
declare function dag<const N extends { readonly id: string; readonly dependsOn?: readonly string[] }, R>(
  nodes: readonly N[],
  run: (node: N, results: { [dependency: string]: R | null }) => R | PromiseLike<R>,
): Promise<{ [id in N['id']]: R | null }>;

/**
 * Runs another workflow inline, in this run's sandbox and under its caps, and returns its result [S44].
 *
 * A string is a name (`meta.name`, then the file's stem), `scriptPath` is relative to the project root. An unknown name,
 * an unreadable file and a syntax error throw. Up to 8 deep; calling itself again with the same args is refused [S45].
 */
declare function workflow(nameOrRef: string | { scriptPath: string }, args?: unknown): Promise<any>;

// ----------------------------------------------------------------------------------------------- progress, input, limits

/** Groups the agents that are started after it [S40]. Use the titles of `meta.phases`. */
declare function phase(title: string): void;

/** Prints a progress line; values that are not strings as JSON [S41]. */
declare function log(...values: unknown[]): void;

/** The same as `log` [S09]. */
declare const console: { debug(...values: unknown[]): void; log(...values: unknown[]): void; info(...values: unknown[]): void; warn(...values: unknown[]): void; error(...values: unknown[]): void };

/** What the caller passed, exactly; `undefined` when nothing was [S42]. */
declare const args: any;

/** One cap: what it is (null without one), what the results delivered so far have used, what is left (Infinity without one). */
interface Cap {
  readonly total: number | null;
  spent(): number;
  remaining(): number;
}

/** The run's budget: output tokens itself, the other caps as members. A hard ceiling: past it `agent()` throws [S43]. */
declare const budget: Cap & { readonly costUsd: Cap; readonly agents: Cap; readonly minutes: Cap };

// ------------------------------------------------------------------------------------------------------------------ time

/** Waits. The due time is on disk before the wait starts, so a resume waits for the rest only [S27]. */
declare function sleep(ms: number): Promise<void>;

/** A durable timer: the callback runs in the lane that set it [S27]. */
declare function setTimeout(callback: (...args: any[]) => void, ms?: number, ...args: any[]): number;

/** Withdraws a timer [S27]. */
declare function clearTimeout(id?: number): void;

// -------------------------------------------------------------------------------- host effects: off unless permitted [S63]

/**
 * Runs one command with `/bin/sh -c` on the host: the exit code is the truth that an agent's word is not [S60].
 * Needs the permission `check`.
 */
declare function check(command: string, opts?: { cwd?: string; timeoutMinutes?: number }): Promise<{ ok: boolean; exitCode: number; stdout: string; stderr: string }>;

/**
 * Waits for a person: at the terminal, or `pawl answer` from anywhere [S61]. Needs the permission `ask`.
 */
declare function ask<const C extends readonly string[]>(question: string, opts: AskOptions & { choices: C }): Promise<C[number]>;
declare function ask<const S extends JsonSchema>(question: string, opts: AskOptions & { schema: S }): Promise<FromSchema<S>>;
declare function ask(question: string, opts?: AskOptions): Promise<any>;

interface AskOptions {
  /** What is answered when the time is up and nobody is there. */
  default?: unknown;
  timeoutMinutes?: number;
  choices?: readonly string[];
  schema?: JsonSchema;
}

/** A file's text, or null when there is none. Paths are relative to the project root [S62]. Needs `files`. */
declare function readFile(path: string): Promise<string | null>;

/** Writes a file and the folders above it [S62]. Needs `files`. */
declare function writeFile(path: string, text: string): Promise<true>;

/** Sorted paths, relative to the project root, with `/` [S62]. Needs `files`. */
declare function glob(pattern: string): Promise<string[]>;

/** Whether there is a file or folder [S62]. Needs `files`. */
declare function exists(path: string): Promise<boolean>;

/**
 * Merges what a subagent changed in its worktree into the project's current branch: git does it, no model [S64].
 *
 * Takes the `worktree` of what `agent()` gave with `isolation: 'worktree'` and `full: true`, or its branch; null and one
 * that nothing was changed in are fine. With conflicts nothing is touched, `ok` is false and `conflicts` names the files. Throws when it
 * would overwrite uncommitted changes of the user. Needs `files`.
 *
 * @example
 * const fixed = await agent('Fix the failing test in parser.test.js.', { isolation: 'worktree', full: true })
 * const merged = await mergeWorktree(fixed.worktree, { message: 'Fix the parser' })
 * if (!merged.ok) log('conflicts in', merged.conflicts.join(', '))
 */
declare function mergeWorktree(worktree: Worktree | string | null, opts?: { message?: string }): Promise<Merged>;

// ------------------------------------------------------------------------------------------------- quality patterns [S72]

/** What `vote()` counted. */
interface Ballot<T> {
  /** The first answer that has the winning key; null without a majority. */
  winner: T | null;
  /** How many said what most said. */
  votes: number;
  of: number;
  /** How many gave no answer: they count against a majority. */
  missing: number;
  /** In order, null where there was none. */
  answers: (T | null)[];
}

interface VoteOptions<T> extends AgentOptions {
  /** By what answers are the same. Default: their JSON, with sorted keys. */
  key?: (answer: T) => string | number | boolean;
  /** Votes that the winner needs. Default: more than half of n. */
  quorum?: number;
}

/**
 * Asks n subagents the same, each told which voter it is, and counts: `winner` is null without a majority [S72].
 * Give a schema with an `enum`, or a `key`: free texts are hardly ever the same. A function gets the place, from 0.
 *
 * @example
 * const ballot = await vote(3, `Is this a bug?\n\n${finding}`, { schema: VERDICT, key: answer => answer.verdict })
 * if (ballot.winner === null) log(`undecided, ${ballot.missing} did not answer`)
 */
declare function vote<const S extends JsonSchema>(n: number, prompt: string, opts: VoteOptions<FromSchema<S>> & { schema: S }): Promise<Ballot<FromSchema<S>>>;
declare function vote(n: number, prompt: string, opts?: VoteOptions<string>): Promise<Ballot<string>>;
declare function vote<T>(n: number, promptOrFunction: (i: number) => T | null | PromiseLike<T | null>, opts?: { key?: (answer: T) => string | number | boolean; quorum?: number }): Promise<Ballot<T>>;

/** One attempt, as a panel sees it. */
interface Judged<T> {
  attempt: T;
  /** Its place in what was given. */
  index: number;
  /** 0 to 10: the mean of the judges that answered; null when none did. */
  score: number | null;
  scores: { lens: string; score: number; reason: string }[];
}

interface PanelOptions {
  /** What the attempts are for: judges see it. */
  task?: string;
  /** Judges of each attempt. Default: 3, or one for each lens. */
  judges?: number;
  /** What each judge looks at, in words that follow "is it". Default: correct, complete, useful. */
  lenses?: readonly string[];
}

/**
 * Has judges score each attempt through lenses and gives them back, the best first [S72]. Null attempts are dropped with
 * a log; one that nobody judged has score null and comes last.
 *
 * @example
 * const [best] = await judgePanel(plans, { task: args.goal, lenses: ['safe to roll back', 'simple'] })
 */
declare function judgePanel<T>(attempts: readonly (T | null)[], opts?: PanelOptions & AgentOptions): Promise<Judged<T>[]>;

/** What `bestOf()` took. `value` is null when there was no attempt; `score` also when nobody judged. */
interface Best<T> { value: T | null; index: number | null; score: number | null; ranking: Judged<T>[] }

/** The agent options are for the attempts; `judge` has those of the judges. */
interface BestOptions extends PanelOptions { judge?: AgentOptions }

/**
 * Makes n attempts at once and takes the one that a panel of judges puts first [S72]. Costs n attempts and n × judges.
 *
 * @example
 * const { value, score } = await bestOf(3, `Write the summary of ${path}.`, { judge: { model: 'max' } })
 */
declare function bestOf<const S extends JsonSchema>(n: number, prompt: string, opts: BestOptions & AgentOptions & { schema: S }): Promise<Best<FromSchema<S>>>;
declare function bestOf(n: number, prompt: string, opts?: BestOptions & AgentOptions): Promise<Best<string>>;
declare function bestOf<T>(n: number, promptOrFunction: (i: number) => T | null | PromiseLike<T | null>, opts?: BestOptions): Promise<Best<T>>;

/**
 * Looks again until `dry` rounds in a row (2) found nothing new, at most `rounds` (20); items are the same by `key` [S72].
 * `find` gets the round, from 1, and the items so far: put them into the prompt. A null round counts, and is not dry.
 * `isDry: false`: it stopped early, and there may be more.
 *
 * @example
 * const bugs = await loopUntilDry(
 *   async (round, known) => (await agent(`Round ${round}. Find bugs not among: ${known.map(bug => bug.id).join()}`, { schema }))?.bugs,
 *   { key: bug => bug.id, rounds: 6 })
 */
declare function loopUntilDry<T>(
  find: (round: number, items: T[]) => readonly (T | null)[] | null | undefined | PromiseLike<readonly (T | null)[] | null | undefined>,
  opts: { key: (item: T) => string | number | boolean; dry?: number; rounds?: number },
): Promise<{ items: T[]; rounds: number; isDry: boolean }>;

/**
 * Calls `thunk(attempt, problem)` until what it gives is accepted: at most 3 times, attempts from 1, the problem of the
 * one before as text (null at first) [S72]. Throws the last error, or gives null when every attempt was null.
 *
 * @example
 * const plan = await retry((attempt, problem) => agent(`Plan it.${problem ? ` Last time: ${problem}` : ''}`, { schema }),
 *   { accept: plan => plan.steps.length <= 9 || 'more than 9 steps' })
 */
declare function retry<T>(
  thunk: (attempt: number, problem: string | null) => T | PromiseLike<T>,
  opts?: { attempts?: number; accept?: (value: NonNullable<T>) => boolean | string | PromiseLike<boolean | string> },
): Promise<NonNullable<T> | null>;

/** A match; `left`, `right` and `winner` are places in the entries. `reason` is null when nobody decided it. */
interface Match { round: number; left: number; right: number; winner: number; reason: string | null }

/**
 * Compares entries two by two until one is left, n - 1 comparisons [S72]. Null entries are dropped with a log. In a match
 * that nobody decided the one that came first goes on, with a log and reason null.
 *
 * @example
 * const { winner } = await tournament(designs, { task: args.goal, criteria: 'the least to maintain' })
 */
declare function tournament<T>(
  entries: readonly (T | null)[],
  opts?: { task?: string; criteria?: string; compare?: (a: T, b: T) => Choice | null | PromiseLike<Choice | null> } & AgentOptions,
): Promise<{ winner: T | null; index: number | null; matches: Match[] }>;

interface Choice { winner: 0 | 1 | null; reason?: string }

/**
 * Maps each item, then reduces groups of `fan` (8) values until one is left [S72]. `reduce` gets what `map` made at depth
 * 1, its own results after that. Nulls are dropped with a log; null when nothing is left.
 *
 * @example
 * const summary = await mapReduce(files, file => agent(`Summarise ${file}.`),
 *   (parts, depth) => agent(`Merge these summaries (level ${depth}):\n\n${parts.join('\n\n')}`))
 */
declare function mapReduce<I, M, R>(
  items: readonly I[],
  map: (item: I, index: number) => M | PromiseLike<M>,
  reduce: (values: (NonNullable<M> | NonNullable<R>)[], depth: number) => R | PromiseLike<R>,
  opts?: { fan?: number },
): Promise<NonNullable<R> | null>;

// ------------------------------------------------------------------------------------------ built-ins beyond ECMAScript [S09]

declare function structuredClone<T>(value: T): T;
declare function queueMicrotask(callback: () => void): void;

declare class TextEncoder {
  readonly encoding: string;
  encode(text?: string): Uint8Array;
}

declare class TextDecoder {
  constructor(label?: string);
  readonly encoding: string;
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}

declare class URLSearchParams {
  constructor(init?: string | readonly (readonly [string, string])[] | { readonly [name: string]: string } | URLSearchParams);
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  toString(): string;
  forEach(callback: (value: string, name: string, parent: URLSearchParams) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

declare class URL {
  constructor(url: string, base?: string | URL);
  hash: string;
  host: string;
  hostname: string;
  href: string;
  readonly origin: string;
  password: string;
  pathname: string;
  port: string;
  protocol: string;
  search: string;
  readonly searchParams: URLSearchParams;
  username: string;
  toString(): string;
  toJSON(): string;
}

/** What `structuredClone` throws for a value that cannot be cloned. */
declare class DOMException extends Error {
  constructor(message?: string, name?: string);
  readonly code: number;
}
