// One way to the API: adds the key, turns problem documents into errors with the SDK's own words.
const STORE = "qcface-key";

export const setKey = (key) => (key ? sessionStorage.setItem(STORE, key) : sessionStorage.removeItem(STORE));
export const hasKey = () => Boolean(sessionStorage.getItem(STORE));

export async function send(path, options = {}) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(STORE) ?? ""}` };
  let answer;
  try {
    answer = await fetch(`/v1/${path}`, { cache: "no-store", ...options, headers });
  } catch {
    throw new Error("The service does not answer. Is it running?");
  }
  if (answer.ok) return answer;
  let detail = answer.statusText;
  try {
    detail = (await answer.json()).detail ?? detail;
  } catch {
    // no problem document: the status text is all there is
  }
  if (answer.status === 401) setKey("");
  const error = new Error(detail);
  error.status = answer.status;
  throw error;
}

export const request = async (path, options) => (await send(path, options)).json();
