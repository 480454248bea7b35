// A real aimock: the same canned answers over the protocols of five providers.
//
//     NODE_PATH=DIR/node_modules node aimock.js [PORT]      port 0, the default, takes a free one
//
// DIR is where `install` put the packages. The first line on stdout is `listening on
// http://127.0.0.1:PORT`. The one process ends at SIGTERM, when its parent ends, and when a standard
// input that was open at the start closes. Keys and model names are not checked.
//
//     POST /v1/messages                                             Anthropic Messages
//     POST /v1/chat/completions                                     OpenAI Chat Completions
//     POST /v1/responses                                            OpenAI Responses
//     POST /api/chat                                                Ollama
//     POST /v1beta/models/MODEL:streamGenerateContent?alt=sse       Gemini
//     GET /__aimock/journal                                         the requests so far, as JSON
//
// The last user message chooses the answer by a word of it; one with none of these words is a 404:
//
//     please         PLAIN, all ASCII: several clients refuse half characters
//     poem           TEXT, 12 UTF-16 units a delta
//     splits         TEXT, a unit a delta, which splits 🌧, 🙂 and others into two half escapes
//     weather        one call of get_weather {"city": "Zürich", "days": 2}, id call_weather
//     both           a sentence, then two calls: get_weather and get_time
//     think          the thoughts THOUGHTS, then TEXT
//     long           TEXT, cut by the maximum of tokens
//     filter         half a sentence, then the content filter
//     slow           TEXT, 20 deltas a second after a quarter of a second
//     silent         nothing for a minute
//     broken         a connection that is cut after 3 chunks
//     busy once      429 with Retry-After: 1 at first, then TEXT; again for each value of the header X-Test-Id
//     overloaded     529, always
//     invalid        400, always

const fs = require('node:fs')
const { LLMock } = require('@copilotkit/aimock')

const PLAIN = 'Drizzle on the roof, and the tram hums "nonstop".'
const TEXT = 'Drizzle on Zürich 🌧️ — 今日は雨です. A family 👨‍👩‍👧 smiles 🙂\nand the tram hums “nonstop”.'
const THOUGHTS = 'They ask for rain; a short verse with naïve words will do ✍️.'
const usage = { input_tokens: 21, output_tokens: 34, prompt_tokens: 21, completion_tokens: 34, total_tokens: 55 }
const weather = { id: 'call_weather', name: 'get_weather', arguments: '{"city":"Zürich","days":2}' }
const time = { id: 'call_time', name: 'get_time', arguments: '{}' }

const mock = new LLMock({ host: '127.0.0.1', port: Number(process.argv[2] ?? 0), chunkSize: 12 })
mock.onMessage('please', { content: PLAIN, usage })
mock.onMessage('poem', { content: TEXT, usage })
mock.onMessage('splits', { content: TEXT, usage }, { chunkSize: 1 })
mock.onMessage('weather', { toolCalls: [weather], usage })
mock.onMessage('both', { content: 'Let me look that up.', toolCalls: [weather, time], usage })
mock.onMessage('think', { content: TEXT, reasoning: THOUGHTS, usage })
mock.onMessage('long', { content: TEXT, finishReason: 'length', usage })
mock.onMessage('filter', { content: 'What I can say is', finishReason: 'content_filter', usage })
mock.onMessage('slow', { content: TEXT, usage }, { chunkSize: 1, streamingProfile: { ttft: 250, tps: 20 } })
mock.onMessage('silent', { content: TEXT, usage }, { latency: 60_000 })
mock.onMessage('broken', { content: TEXT, usage }, { truncateAfterChunks: 3, latency: 20 })
mock.on({ userMessage: 'busy once', sequenceIndex: 0 }, { error: { message: 'Slow down.', type: 'rate_limit_error' }, status: 429 })
mock.onMessage('busy once', { content: TEXT, usage })
mock.onMessage('overloaded', { error: { message: 'Overloaded.', type: 'overloaded_error' }, status: 529 })
mock.onMessage('invalid', { error: { message: 'No such thing.', type: 'invalid_request_error' }, status: 400 })

let started = false
const parent = process.ppid
setInterval(() => process.ppid === parent || process.exit(), 500).unref()
if (!fs.fstatSync(0).isFile()) {
  // In CI standard input is at its end from the beginning, which says nothing.
  process.stdin.on('error', () => {}).on('end', () => started && process.exit()).resume()
}
setTimeout(async () => {
  started = true
  await mock.start()
  console.log(`listening on ${mock.url}`)
}, 50)
