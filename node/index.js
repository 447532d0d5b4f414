'use strict';
// What the package gives: the library for better-sqlite3 and node:sqlite, and collections. docs/node.md tells of both.

const { getLoadablePath, load, vector } = require('./connection.js');
const { Collection, open } = require('./collection.js');

module.exports = { Collection, getLoadablePath, load, open, vector };
