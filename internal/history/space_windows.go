package history

import win "golang.org/x/sys/windows"

// freeSpace returns how many bytes are free on a folder's disk.
func freeSpace(dir string) (int64, error) {
	name, err := win.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = win.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return int64(free), err
}
