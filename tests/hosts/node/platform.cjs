// What the installed package says where the library for the platform is missing. tests/hosts/packages.rs calls it in a folder that
// has the package, with its own library or with packages for other platforms. platform.cjs FOLDER
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');

// A copy, from which the library is taken away.
const modules = path.join(process.argv[2], 'node_modules');
const copy = path.join(modules, 'fafcas');
fs.cpSync(path.dirname(require.resolve('fafcas/package.json')), copy, { recursive: true });
fs.rmSync(path.join(copy, 'libraries'), { recursive: true, force: true });
const { getLoadablePath } = require(path.join(copy, 'platform.js'));

function on(platform, arch, glibc, check) {
  const kept = [process.platform, process.arch, process.report.getReport];
  Object.defineProperty(process, 'platform', { value: platform });
  Object.defineProperty(process, 'arch', { value: arch });
  process.report.getReport = () => ({ header: glibc ? { glibcVersionRuntime: '2.17' } : {} });
  try {
    check();
  } finally {
    Object.defineProperty(process, 'platform', { value: kept[0] });
    Object.defineProperty(process, 'arch', { value: kept[1] });
    process.report.getReport = kept[2];
  }
}

function has(name, file) {
  fs.mkdirSync(path.join(modules, name));
  fs.writeFileSync(path.join(modules, name, 'package.json'), JSON.stringify({ name, version: '0.0.0' }));
  fs.writeFileSync(path.join(modules, name, file), '');
  return path.join(modules, name, file);
}

on('linux', 'x64', true, () => assert.throws(getLoadablePath, /expected the package fafcas-linux-x64-glibc, .* not none: install it .*`npm install fafcas-linux-x64-glibc`/));
const mac = has('fafcas-darwin-arm64', 'fafcas.dylib');
on('linux', 'x64', false, () => assert.throws(getLoadablePath, /expected the package fafcas-linux-x64-musl, .* not fafcas-darwin-arm64: install/));
on('win32', 'x64', false, () => assert.throws(getLoadablePath, /expected the package fafcas-win32-x64, /));
on('android', 'arm64', false, () => assert.throws(getLoadablePath, /expected the package fafcas-android-arm64, /));
on('freebsd', 'x64', false, () => assert.throws(getLoadablePath, /expected one of the platforms .*, not fafcas-freebsd-x64: build/));
on('darwin', 'arm64', false, () => assert.strictEqual(getLoadablePath(), mac));
const musl = has('fafcas-linux-arm64-musl', 'fafcas.so');
on('linux', 'arm64', false, () => assert.strictEqual(getLoadablePath(), musl));
on('linux', 'arm64', true, () => assert.throws(getLoadablePath, /fafcas-linux-arm64-glibc, .* not fafcas-darwin-arm64, fafcas-linux-arm64-musl/));

// Of Node itself, whatever it was built for.
assert.match(require('fafcas').getLoadablePath(), /fafcas\.(so|dylib)$/);
console.log('platforms');
