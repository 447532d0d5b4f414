'use strict';
// Where the library for this platform lies: in a package of its own, of which npm installs the one that fits.

const fs = require('node:fs');
const path = require('node:path');

/** The platforms that there are packages for. */
const PACKAGES = [
  'fafcas-linux-x64-glibc',
  'fafcas-linux-arm64-glibc',
  'fafcas-linux-x64-musl',
  'fafcas-linux-arm64-musl',
  'fafcas-win32-x64',
  'fafcas-darwin-x64',
  'fafcas-darwin-arm64',
  'fafcas-android-x64',
  'fafcas-android-arm64',
];
const ENDINGS = { win32: '.dll', darwin: '.dylib' };

/** The path of the library, for whatever loads SQLite extensions by their path. */
function getLoadablePath() {
  const file = 'fafcas' + (ENDINGS[process.platform] ?? '.so');
  // What `make npm` built on this machine is in the package itself.
  const own = path.join(__dirname, 'libraries', `${process.platform}-${process.arch}`, file);
  if (fs.existsSync(own)) return own;
  const name = packageName();
  if (!PACKAGES.includes(name)) throw new Error(`fafcas: expected one of the platforms ${PACKAGES.join(', ')}, not ${name}: build the library here (\`make npm\` in the repository)`);
  try {
    return path.join(path.dirname(require.resolve(`${name}/package.json`)), file);
  } catch (cause) {
    const there = packagesThere();
    const way = `install it on this machine with \`npm install ${name}\`, and without --omit=optional`;
    throw new Error(`fafcas: expected the package ${name}, which has the library for this platform, not ${there.join(', ') || 'none'}: ${way}`, { cause });
  }
}

/** What the package for this platform is called. */
function packageName() {
  const libc = process.platform === 'linux' ? [hasGlibc() ? 'glibc' : 'musl'] : [];
  return ['fafcas', process.platform, process.arch, ...libc].join('-');
}

/** Node's report names the version of glibc, and of no other C library. */
function hasGlibc() {
  const { header } = process.report.getReport();
  return Boolean(header.glibcVersionRuntime);
}

/** The packages for other platforms, and the folders of libraries, that came with this one, from wherever it was copied. */
function packagesThere() {
  const beside = names(path.dirname(__dirname)).filter((name) => PACKAGES.includes(name));
  return [...beside, ...names(path.join(__dirname, 'libraries')).map((name) => `libraries/${name}`)];
}

function names(folder) {
  return fs.existsSync(folder) ? fs.readdirSync(folder) : [];
}

module.exports = { getLoadablePath };
