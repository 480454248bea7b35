// A real json-server over a list of orders.
//
//     NODE_PATH=DIR/node_modules node json_server.js [PORT [ROWS]]      port 0, the default, takes a free one
//
// DIR is where `install` put the packages. The first line on stdout is `listening on
// http://127.0.0.1:PORT`; SIGTERM ends the one process. The body is an array; the total stands in
// the header X-Total-Count. A correct client counts ROWS (default 1234) items at:
//
//     /orders                             everything, no paging, no X-Total-Count
//     /orders?_page=1                     10 a page, Link: first, prev, next, last (absolute)
//     /orders?_page=1&_limit=100          100 a page
//     /orders?_start=0&_limit=100         offsets: no Link header, so X-Total-Count alone says that there is more
//
// Past the last page: 200, `[]` and an empty Link header. A real loop: at /orders?_page=0 the next
// link is the page itself, for ever.

const jsonServer = require('json-server')

const [port = '0', rows = '1234'] = process.argv.slice(2)
const customers = ['Zoë Müller', '王秀英', "O'Brien & Sons", 'Łukasz “Lucky” Nowak']
const orders = Array.from({ length: Number(rows) }, (_, k) => ({
  id: k + 1,
  reference: `SO-${String(k + 1).padStart(7, '0')}`,
  customer: customers[k % customers.length],
  total: ((k * 37) % 100000) / 100,
  paid: k % 5 !== 0,
  lines: Array.from({ length: k % 4 }, (_, n) => ({ sku: `A${k * 7 + n}`, quantity: n + 1 })),
  note: [null, '', 'Leave at the door.\nRing twice.', 'Say "hello" {nicely} [please] \\o/'][(k >> 1) % 4],
}))

const app = jsonServer.create()
app.use(jsonServer.defaults({ logger: false }))
app.use(jsonServer.router({ orders }))
const server = app.listen(Number(port), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
