// src/ports/store.ts
/** The limits every driver offers at least. */
const portableLimits = {
	changes: 100,
	commitBytes: 3145728,
	valueBytes: 307200,
	keys: "ascii"
};
/** A page of `list` ends at the latest with the record that brings its values to this many bytes as UTF-8 JSON. */
const PAGE_BYTES = 4194304;
const DECIMAL_DIGITS = 15;
/** A number as a key that every store takes: 15 digits, so that byte order is numeric order. @param n 0 … 10¹⁵−1 */
function decimalKey(n) {
	return String(n).padStart(DECIMAL_DIGITS, "0");
}
export { decimalKey as n, portableLimits as r, PAGE_BYTES as t };
