// Appends what standard input says with one of the logs for Go, block by block, and says how long each block took.
//
// Arguments: the name of the log, and an empty directory. In: for each block the number of its entries (0 ends), 1 if
// they are one batch or 0 if each has to be durable before the next, and each entry's length and bytes. Out: for each
// block its nanoseconds (uint64); after the end, every entry as the log's own reader gives it back when it is opened
// again, its length before it. Other numbers are uint32. All numbers are little-endian.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	tidwall "github.com/tidwall/wal"
	etcd "go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
)

// A durableLog is durable when write returns: the entries of one call are one batch.
type durableLog interface {
	write(entries [][]byte) error
	// readBack closes the log, opens it again, and gives every entry to each.
	readBack(directory string, each func([]byte) error) error
}

type etcdLog struct {
	wal       *etcd.WAL
	lastIndex uint64
}

func openEtcd(directory string) (durableLog, error) {
	wal, err := etcd.Create(nil, directory, nil)
	return &etcdLog{wal: wal}, err
}

func (l *etcdLog) write(entries [][]byte) error {
	var saved []*raftpb.Entry
	for _, data := range entries {
		l.lastIndex++
		index, term := l.lastIndex, uint64(1)
		saved = append(saved, &raftpb.Entry{Index: &index, Term: &term, Data: data})
	}
	return l.wal.Save(&raftpb.HardState{}, saved)
}

func (l *etcdLog) readBack(directory string, each func([]byte) error) error {
	if err := l.wal.Close(); err != nil {
		return err
	}
	wal, err := etcd.Open(nil, directory, &walpb.Snapshot{})
	if err != nil {
		return err
	}
	defer wal.Close()
	_, _, entries, err := wal.ReadAll()
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := each(entry.Data); err != nil {
			return err
		}
	}
	return nil
}

type raftLog struct {
	wal       *raftwal.WAL
	meta      *metadb.BoltMetaDB
	lastIndex uint64
}

func openRaft(directory string) (durableLog, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	meta := &metadb.BoltMetaDB{}
	wal, err := raftwal.Open(directory, raftwal.WithMetaStore(meta))
	return &raftLog{wal: wal, meta: meta}, err
}

func (l *raftLog) write(entries [][]byte) error {
	var stored []*raft.Log
	for _, data := range entries {
		l.lastIndex++
		stored = append(stored, &raft.Log{Index: l.lastIndex, Term: 1, Data: data})
	}
	return l.wal.StoreLogs(stored)
}

func (l *raftLog) readBack(directory string, each func([]byte) error) error {
	if err := l.wal.Close(); err != nil {
		return err
	}
	if err := l.meta.Close(); err != nil { // the log leaves it open, and locked
		return err
	}
	wal, err := raftwal.Open(directory)
	if err != nil {
		return err
	}
	defer wal.Close()
	lastIndex, err := wal.LastIndex()
	if err != nil {
		return err
	}
	for index := uint64(1); index <= lastIndex; index++ {
		var found raft.Log
		if err := wal.GetLog(index, &found); err != nil {
			return err
		}
		if err := each(found.Data); err != nil {
			return err
		}
	}
	return nil
}

type tidwallLog struct {
	wal       *tidwall.Log
	lastIndex uint64
}

func openTidwall(directory string) (durableLog, error) {
	wal, err := tidwall.Open(directory, nil)
	return &tidwallLog{wal: wal}, err
}

func (l *tidwallLog) write(entries [][]byte) error {
	if len(entries) == 1 {
		l.lastIndex++
		return l.wal.Write(l.lastIndex, entries[0])
	}
	batch := new(tidwall.Batch)
	for _, data := range entries {
		l.lastIndex++
		batch.Write(l.lastIndex, data)
	}
	return l.wal.WriteBatch(batch)
}

func (l *tidwallLog) readBack(directory string, each func([]byte) error) error {
	if err := l.wal.Close(); err != nil {
		return err
	}
	wal, err := tidwall.Open(directory, nil)
	if err != nil {
		return err
	}
	defer wal.Close()
	lastIndex, err := wal.LastIndex()
	if err != nil {
		return err
	}
	for index := uint64(1); index <= lastIndex; index++ {
		data, err := wal.Read(index)
		if err != nil {
			return err
		}
		if err := each(data); err != nil {
			return err
		}
	}
	return nil
}

type pebbleStore struct {
	store   *pebble.DB
	lastKey uint64
}

func openPebble(directory string) (durableLog, error) {
	store, err := pebble.Open(directory, &pebble.Options{Logger: silent{}})
	return &pebbleStore{store: store}, err
}

func (s *pebbleStore) write(entries [][]byte) error {
	batch := s.store.NewBatch()
	defer batch.Close()
	for _, data := range entries {
		s.lastKey++
		if err := batch.Set(binary.BigEndian.AppendUint64(nil, s.lastKey), data, nil); err != nil {
			return err
		}
	}
	return batch.Commit(pebble.Sync)
}

func (s *pebbleStore) readBack(directory string, each func([]byte) error) error {
	if err := s.store.Close(); err != nil {
		return err
	}
	store, err := pebble.Open(directory, &pebble.Options{Logger: silent{}})
	if err != nil {
		return err
	}
	defer store.Close()
	found, err := store.NewIter(nil)
	if err != nil {
		return err
	}
	defer found.Close()
	for valid := found.First(); valid; valid = found.Next() {
		if err := each(found.Value()); err != nil {
			return err
		}
	}
	return found.Error()
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, arguments ...any) {
	log.Fatalf(format, arguments...)
}

var opens = map[string]func(directory string) (durableLog, error){
	"etcd":     openEtcd,
	"pebble":   openPebble,
	"raft-wal": openRaft,
	"tidwall":  openTidwall,
}

func number(input io.Reader) (uint32, error) {
	var bytes [4]byte
	_, err := io.ReadFull(input, bytes[:])
	return binary.LittleEndian.Uint32(bytes[:]), err
}

func block(input io.Reader, count uint32) ([][]byte, error) {
	entries := make([][]byte, count)
	for at := range entries {
		length, err := number(input)
		if err != nil {
			return nil, err
		}
		entries[at] = make([]byte, length)
		if _, err := io.ReadFull(input, entries[at]); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func appendAll(opened durableLog, entries [][]byte, isBatch bool) error {
	if isBatch {
		return opened.write(entries)
	}
	for at := range entries {
		if err := opened.write(entries[at : at+1]); err != nil {
			return err
		}
	}
	return nil
}

func run() error {
	if len(os.Args) != 3 {
		return errors.New("name a log and a directory")
	}
	open, isKnown := opens[os.Args[1]]
	if !isKnown {
		return fmt.Errorf("no such log: %s", os.Args[1])
	}
	directory := filepath.Join(os.Args[2], "log")
	opened, err := open(directory)
	if err != nil {
		return err
	}
	input, output := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		count, err := number(input)
		if err != nil {
			return err
		}
		if count == 0 {
			break
		}
		isBatch, err := number(input)
		if err != nil {
			return err
		}
		entries, err := block(input, count)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := appendAll(opened, entries, isBatch != 0); err != nil {
			return err
		}
		if err := binary.Write(output, binary.LittleEndian, uint64(time.Since(began))); err != nil {
			return err
		}
		if err := output.Flush(); err != nil {
			return err
		}
	}
	give := func(data []byte) error {
		if err := binary.Write(output, binary.LittleEndian, uint32(len(data))); err != nil {
			return err
		}
		_, err := output.Write(data)
		return err
	}
	if err := opened.readBack(directory, give); err != nil {
		return err
	}
	return output.Flush()
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
