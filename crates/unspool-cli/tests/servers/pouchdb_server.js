// A real express-pouchdb, which speaks as CouchDB does, over a database of orders in memory.
//
//     NODE_PATH=DIR/node_modules node pouchdb_server.js [PORT [ROWS]]      port 0, the default, takes a free one
//
// DIR is where `install` put the packages. The first line on stdout is `listening on
// http://127.0.0.1:PORT`; SIGTERM ends the one process. A correct client counts ROWS (default 1234)
// items at:
//
//     /orders/_all_docs?limit=100         {total_rows, offset, rows}; the last key as JSON into startkey,
//                                         which includes the row of that key
//     /orders/_all_docs?limit=100&skip=0  the same by offset; offset and total_rows say where one is
//     POST /orders/_all_docs {}           all of them, or with limit and startkey in the query as above
//     /orders/_changes?limit=100          {results, last_seq}; last_seq into since; empty at the end,
//                                         with the same last_seq again

const express = require('express')
const PouchDB = require('pouchdb-core')
  .plugin(require('pouchdb-adapter-memory'))
  .plugin(require('pouchdb-find'))
const Databases = PouchDB.defaults({ adapter: 'memory' })

const [port = '0', rows = '1234'] = process.argv.slice(2)
const customers = ['Zoë Müller', '王秀英', "O'Brien & Sons", 'Łukasz “Lucky” Nowak']
const orders = Array.from({ length: Number(rows) }, (_, k) => ({
  _id: `SO-${String(k + 1).padStart(7, '0')}`,
  customer: customers[k % customers.length],
  total: ((k * 37) % 100000) / 100,
}))

const app = express()
app.use('/', require('express-pouchdb')(Databases, { mode: 'minimumForPouchDB', inMemoryConfig: true, logPath: '/dev/null' }))
new Databases('orders').bulkDocs(orders).then(() => {
  const server = app.listen(Number(port), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}`)
  })
})
